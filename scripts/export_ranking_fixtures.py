"""Exports PyTorch's values and gradients of the ranking losses and CTC: tests/fixtures/{ranking,sequence}.safetensors.

    python3 scripts/export_ranking_fixtures.py              # from any directory
    python3 scripts/export_ranking_fixtures.py --out DIR    # write elsewhere

The files are made as by export_fixtures.py and have its form. Roles:

    input1, anchor, ...    each argument under its name in PyTorch's `forward`
    weight                 the tensor option
    value                  the loss
    grad_output            an upstream gradient of value's shape, with the reduction none; otherwise it is 1
    grad_anchor, ...       the gradient of (value * grad_output).sum() for each argument that has one

The lengths of CTC are among the options.
"""

import itertools
from pathlib import Path

import peer_env

if __name__ == "__main__":
    OUT = peer_env.out_folder(__doc__)

from export_fixtures import DTYPES, REDUCTIONS, Draw, Fixture  # noqa: E402

import torch  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

SIZE_LIMIT = 350_000  # bytes, both files together


def cosine_distance(a, b):
    return 1 - F.cosine_similarity(a, b)


def chebyshev_distance(a, b):
    return (a - b).abs().amax(dim=-1)


DISTANCES = {"cosine": cosine_distance, "chebyshev": chebyshev_distance}


def evaluate(module, arguments, leaves, lengths, grad_output):
    """The value and the gradient of each of `leaves`."""
    arguments = {name: tensor.detach().clone() for name, tensor in arguments.items()}
    for name in leaves:
        arguments[name].requires_grad_()
    value = module(*arguments.values(), *lengths)
    weighted = value if grad_output is None else (value * grad_output).sum()
    gradients = torch.autograd.grad(weighted, [arguments[name] for name in leaves])
    return value, dict(zip(leaves, gradients))


def add(fixture, loss, name, draw, arguments, leaves, options, weight=None, finite=True):
    lengths = [options[key] for key in ("input_lengths", "target_lengths") if key in options]
    given = {key: value for key, value in options.items() if not key.endswith("_lengths")}
    if "distance_function" in given:
        given["distance_function"] = DISTANCES[given["distance_function"]]
    if "p" in given and loss is nn.TripletMarginLoss:
        given["p"] = float(given["p"])
    given |= {} if weight is None else {"weight": weight}
    module = loss(**given)
    grad_output = None
    if options["reduction"] == "none":
        shape = module(*arguments.values(), *lengths).shape
        grad_output = draw.upstream(shape)
    value, gradients = evaluate(module, arguments, leaves, lengths, grad_output)
    assert value.dtype == draw.dtype, name
    if draw.dtype == torch.float32 and finite:
        # A hinge within rounding of its kink has a gradient that hangs on the order of additions.
        wide = {key: t.double() if t.is_floating_point() else t for key, t in arguments.items()}
        exact = loss(**given | ({} if weight is None else {"weight": weight.double()}))
        upstream = None if grad_output is None else grad_output.double()
        exact_value, exact_gradients = evaluate(exact, wide, leaves, lengths, upstream)
        for own, other in [(value, exact_value), *((gradients[key], exact_gradients[key]) for key in leaves)]:
            scale = other.abs().max() if other.numel() else 0
            assert ((own - other).abs() <= 1e-4 * scale).all(), f"{name}: change its values"
    roles = dict(arguments) | {"value": value}
    if weight is not None:
        roles["weight"] = weight
    if grad_output is not None:
        roles["grad_output"] = grad_output
    roles |= {f"grad_{key}": gradient for key, gradient in gradients.items()}
    empty = any(tensor.numel() == 0 for tensor in arguments.values())
    if finite and not empty:
        assert all(tensor.isfinite().all() for tensor in roles.values()), f"{name}: not finite"
    fixture.add(name, loss.__name__, draw.dtype, options, roles)


def signs(draw, shape, dtype=None):
    """Labels 1 and -1, both where there is room."""
    flat = torch.where(draw.chosen(shape, 0.5), 1.0, -1.0).flatten()
    flat[:2] = torch.tensor([1.0, -1.0])[: flat.numel()]
    return flat.reshape(shape).to(dtype or draw.dtype)


def each(short):
    """Every precision and reduction, with the start of the names."""
    for (precision, dtype), reduction in itertools.product(DTYPES.items(), REDUCTIONS):
        yield f"{short}.{precision}.{reduction}", dtype, reduction


def hinge(fixture):
    for prefix, dtype, reduction in each("hinge"):

        def case(what, shape=(2, 3), target_shape=None, kind=None, low=-1.0, target=None, **options):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            if target is None:
                target = signs(draw, shape if target_shape is None else target_shape, kind)
            arguments = {"input": draw.uniform(shape, low, 3.0), "target": target}
            add(fixture, nn.HingeEmbeddingLoss, name, draw, arguments, ["input"], {"reduction": reduction} | options)

        case("int64", kind=torch.int64)
        case("margin_0", margin=0.0, low=-3.0)
        if dtype == torch.float64:
            case("margin_2.5", margin=2.5)
            case("broadcast", target_shape=(3,))
            case("broadcast_both", shape=(3, 1), target_shape=(1, 2))
            case("other_labels", target=torch.tensor([[0, 2, 1], [-1, 3, -2]]))
            case("scalar", shape=())
            case("empty", shape=(0, 3))


def soft(fixture):
    for prefix, dtype, reduction in each("soft"):

        def case(what, shape=(2, 3), target_shape=None, kind=None, input=None):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            input = draw.uniform(shape, -4, 4) if input is None else input.to(dtype)
            target = signs(draw, input.shape if target_shape is None else target_shape, kind)
            arguments = {"input": input, "target": target}
            add(fixture, nn.SoftMarginLoss, name, draw, arguments, ["input"], {"reduction": reduction})

        case("plain")
        if dtype == torch.float64:
            case("int64", kind=torch.int64)
            case("broadcast", target_shape=(2, 1))
            case("large", input=torch.tensor([[30.0, 30.0], [-30.0, -600.0], [-1e-9, 0.0]]))
            case("scalar", shape=())
            case("empty", shape=(0, 3))


def ranking(fixture):
    for prefix, dtype, reduction in each("ranking"):

        def case(what, shapes=((2, 3),) * 3, kind=None, equal=False, **options):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            input1, input2 = draw.uniform(shapes[0], -2, 2), draw.uniform(shapes[1], -2, 2)
            if equal:
                input2[0] = input1[0]
            arguments = {"input1": input1, "input2": input2, "target": signs(draw, shapes[2], kind)}
            leaves = [key for key, tensor in arguments.items() if tensor.is_floating_point()]
            add(fixture, nn.MarginRankingLoss, name, draw, arguments, leaves, {"reduction": reduction} | options)

        case("margin_0.7", margin=0.7)
        if dtype == torch.float64:
            case("int64", kind=torch.int64)
            case("equal", equal=True)
            case("broadcast", shapes=((3, 1), (1, 2), (1, 1)), margin=1.0)
            case("broadcast_target", shapes=((1,), (1,), (3,)), margin=-0.25)
            case("scalar", shapes=((), (), ()))
            case("empty", shapes=((0,),) * 3)


def cosine(fixture):
    for prefix, dtype, reduction in each("cosine"):

        def case(what, shapes=((4, 3), (4, 3), (4,)), kind=None, special=False, target=None, **options):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            input1, input2 = draw.uniform(shapes[0]), draw.uniform(shapes[1])
            target = signs(draw, shapes[2], kind) if target is None else target
            if special:  # zeros, and the same direction twice; the last two as they are
                input1[0] = 0
                input1[1], input2[1] = torch.tensor([1.0, 2, 2]), torch.tensor([2.0, 4, 4])
            arguments = {"input1": input1, "input2": input2, "target": target}
            options = {"reduction": reduction} | options
            add(fixture, nn.CosineEmbeddingLoss, name, draw, arguments, ["input1", "input2"], options)

        case("int64", kind=torch.int64)
        case("margin_0.3", margin=0.3)
        if dtype == torch.float64:
            case("margin_-0.5", margin=-0.5)
            case("special", special=True)
            case("other_labels", target=torch.tensor([0, 2, 1, -1]))
            case("broadcast", shapes=((1, 3), (4, 3), (4,)))
            case("broadcast_target", shapes=((4, 3), (4, 1), (1,)))
            case("unbatched", shapes=((3,), (3,), ()))
            case("empty", shapes=((0, 3), (0, 3), (0,)))


def multi_margin(fixture):
    for prefix, dtype, reduction in each("multi"):

        def case(what, shape=(3, 4), target=(2, 0, 2), weighted=False, ties=False, **options):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            scores = draw.uniform(shape, -1.5, 1.5)
            if ties:  # 1 - 0.5 + -0.5 is the kink exactly
                scores = torch.tensor([[0.5, -0.5, 0.5], [-0.5, 0.75, 0.5]], dtype=dtype)
            weight = draw.uniform((shape[-1],), 0.25, 2) if weighted else None
            arguments = {"input": scores, "target": torch.tensor(target, dtype=torch.int64)}
            options = {"reduction": reduction} | options
            add(fixture, nn.MultiMarginLoss, name, draw, arguments, ["input"], options, weight)

        case("plain")
        case("p2.margin_0.5.weight", p=2, margin=0.5, weighted=True)
        if dtype == torch.float64:
            case("p2", p=2)
            case("weight", weighted=True)
            case("margin_0", margin=0.0)
            case("margin_-0.5", margin=-0.5, weighted=True)
            case("ties", ties=True, target=(0, 2))
            case("unbatched", shape=(4,), target=1, weighted=True)
            case("unbatched_vector", shape=(4,), target=[1], p=2)
            case("one_sample", shape=(1, 4), target=3)
            case("one_class", shape=(2, 1), target=[0, 0])
            case("scalar", shape=(), target=0)


def multi_label(fixture):
    for prefix, dtype, reduction in each("label"):

        def case(what, target, ties=False):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            target = torch.tensor(target, dtype=torch.int64)
            scores = draw.uniform(target.shape, -1.5, 1.5)
            if ties:
                scores = torch.tensor([[0.5, -0.5, 0.5, -0.25]], dtype=dtype)
            arguments = {"input": scores, "target": target}
            add(fixture, nn.MultiLabelMarginLoss, name, draw, arguments, ["input"], {"reduction": reduction})

        # Ended early with something behind, none, all.
        case("batch", [[3, 0, -1, 1], [-1, 2, 1, 0], [0, 1, 2, 3]])
        if dtype == torch.float64:
            case("twice", [[2, 2, -1, -1], [1, -1, -1, -1]])
            case("ties", [[0, -1, -1, -1]], ties=True)
            case("unbatched", [1, 2, -1])
            case("one_class", [[0], [-1]])
            case("scalar", 0)


def multi_label_soft(fixture):
    for prefix, dtype, reduction in each("label_soft"):

        def case(what, shape=(3, 4), target_shape=None, kind=None, weight=None, low=-4.0, high=4.0):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            target_shape = shape if target_shape is None else target_shape
            target = draw.uniform(target_shape, -1, 2).clamp(0, 1)
            if kind is not None:
                target = draw.chosen(target_shape, 0.5).to(kind)
            weight = None if weight is None else draw.uniform(weight, 0.25, 2)
            arguments = {"input": draw.uniform(shape, low, high), "target": target}
            leaves = [key for key, tensor in arguments.items() if tensor.is_floating_point()]
            options = {"reduction": reduction}
            add(fixture, nn.MultiLabelSoftMarginLoss, name, draw, arguments, leaves, options, weight)

        case("weight", weight=(4,))
        if dtype == torch.float64:
            case("plain")
            case("int64", kind=torch.int64)
            case("uint8", kind=torch.uint8, weight=(3, 1))
            case("large", low=-800.0, high=800.0)
            case("broadcast", shape=(1, 4), target_shape=(3, 4), weight=(4,))
            case("broadcast_target", target_shape=(4,))
            case("unbatched", shape=(4,))
            case("three_axes", shape=(2, 1, 3), weight=(2, 1, 1))
            case("empty", shape=(0, 3))


def triplet(fixture):
    for prefix, dtype, reduction in each("triplet"):

        def case(what, shapes=((3, 4),) * 3, identical=False, loss=nn.TripletMarginLoss, **options):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            names = ["anchor", "positive", "negative"]
            arguments = {key: draw.uniform(shape, -1, 1) for key, shape in zip(names, shapes)}
            if identical:
                arguments["positive"][0] = arguments["anchor"][0]
                arguments["negative"][1] = arguments["anchor"][1]
            add(fixture, loss, name, draw, arguments, names, {"reduction": reduction} | options)

        case("default")
        case("p1.swap", p=1, swap=True, margin=0.5)
        own = nn.TripletMarginWithDistanceLoss
        case("cosine.swap", loss=own, distance_function="cosine", swap=True, margin=0.3)
        if dtype == torch.float64:
            case("swap", swap=True)
            case("p1", p=1)
            case("p3.eps_0.01", p=3, eps=0.01)
            case("p_0.5", p=0.5)
            case("p_inf", p="inf")  # JSON has no such number
            case("identical", identical=True)
            case("identical.eps_0", identical=True, eps=0.0, swap=True)
            case("broadcast", shapes=((1, 4), (3, 4), (3, 1)))
            case("unbatched", shapes=((4,),) * 3)
            case("three_axes", shapes=((2, 1, 4), (2, 3, 4), (1, 3, 4)), swap=True)
            case("empty", shapes=((0, 4),) * 3)
            case("pairwise", loss=own)
            case("pairwise.swap", loss=own, swap=True, margin=0.5)
            case("chebyshev", loss=own, distance_function="chebyshev")
            case("cosine.broadcast", loss=own, distance_function="cosine", shapes=((1, 4), (3, 4), (3, 4)))
            case("pairwise.three_axes", loss=own, shapes=((2, 2, 3),) * 3)


def ctc():
    fixture = Fixture("sequence")
    for prefix, dtype, reduction in each("ctc"):

        def case(what, targets, input_lengths, target_lengths, shape=(6, 2, 4), finite=True, kind=None, **options):
            draw = Draw(name := f"{prefix}.{what}", dtype)
            arguments = {
                "log_probs": draw.uniform(shape, -2, 2).log_softmax(-1),
                "targets": torch.as_tensor(targets, dtype=kind or torch.int64),
            }
            options = {"reduction": reduction} | options
            options |= {"input_lengths": input_lengths, "target_lengths": target_lengths}
            add(fixture, nn.CTCLoss, name, draw, arguments, ["log_probs"], options, finite=finite)

        padded = [[1, 2, 2], [3, 1, 0]]
        case("padded", padded, [6, 5], [3, 2])
        # Three times the same label needs five frames.
        impossible = dict(targets=[[1, 1, 1], [3, 1, 2]], input_lengths=[4, 6], target_lengths=[3, 3])
        case("infinite.zero_infinity", **impossible, zero_infinity=True)
        if dtype == torch.float64:
            case("concatenated", [1, 2, 2, 3, 1], [6, 5], [3, 2])
            case("int32", padded, [6, 5], [3, 2], kind=torch.int32)
            case("uint8", padded, [6, 5], [3, 2], kind=torch.uint8)
            case("blank_3", [[1, 2, 2], [0, 1, 3]], [6, 5], [3, 2], blank=3)
            case("infinite", **impossible, finite=False)
            case("empty_target", [[1, 2, 2], [0, 0, 0]], [6, 5], [3, 0])
            case("empty_targets", torch.zeros(0), [6, 5], [0, 0])
            case("empty_input", padded, [6, 0], [3, 0])
            case("empty_input.infinite", padded, [6, 0], [3, 2], finite=False)
            case("empty_input.zero_infinity", padded, [6, 0], [3, 2], zero_infinity=True)
            case("ignored_padding", [[1, -1, 99], [3, 1, -5]], [6, 6], [1, 2])
            case("unbatched", [1, 3, 3], [6], [3], shape=(6, 4))
            case("unbatched.padded", [[2, 1, 0]], [5], [2], shape=(6, 4))
            case("one_frame", [[2]], [1], [1], shape=(1, 1, 3))
    return fixture


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    OUT.mkdir(parents=True, exist_ok=True)
    fixture = Fixture("ranking")
    for family in (hinge, soft, ranking, cosine, multi_margin, multi_label, multi_label_soft, triplet):
        family(fixture)
    total = sum(made.save(OUT) for made in (fixture, ctc()))
    print(f"{total} bytes in {OUT}")
    if total > SIZE_LIMIT:
        raise SystemExit(f"more than {SIZE_LIMIT} bytes: use smaller shapes")


if __name__ == "__main__":
    main()
