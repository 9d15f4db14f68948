"""Exports PyTorch's values and gradients of the losses of torch.nn: tests/fixtures/nn_*.safetensors.

    python3 scripts/export_nn_fixtures.py              # from any directory
    python3 scripts/export_nn_fixtures.py --out DIR    # write elsewhere, e.g. to compare with the committed files

In the manner of export_fixtures.py, which tells the format and has the first losses (L1, MSE, BCE with logits). The
roles here are the arguments of the call by PyTorch's names, and:

    weight                   the tensor option of that name
    parameter.{name}         the parameters of a module that has some, by their names in the state dict
    value                    the loss
    output                   what the module returns beside the loss, or other methods of it do (`log_prob`, `predict`)
    grad_{role}              the gradients of (value * upstream(value)).sum(), for what is differentiable; `upstream` is
                             not stored

It also writes tests/fixtures/nn_losses.json: the losses that the installed PyTorch has. It fails where one of them has
no counterpart in src.
"""

import json
import re
import warnings
from pathlib import Path

import peer_env

if __name__ == "__main__":
    OUT = peer_env.out_folder(__doc__)

from export_fixtures import DTYPES, REDUCTIONS, Draw, Fixture, label  # noqa: E402  also installs what is pinned

import torch  # noqa: E402
from torch import nn  # noqa: E402

SIZE_LIMIT = 500_000  # bytes, all files together: they live in the repository
REPOSITORY = Path(__file__).resolve().parent.parent
LEFT_OUT = {"NLLLoss2d": "a deprecated alias of NLLLoss"}


def losses_of_pytorch():
    """The names of all losses in torch.nn, but for those left out."""
    names = {name for name in dir(nn) if re.search(r"Loss(\d+d)?$", name) and isinstance(getattr(nn, name), type)}
    assert LEFT_OUT.keys() <= names, "one that is left out is no longer there"
    return sorted(names - LEFT_OUT.keys())


def types_of_the_crate():
    """The names under which src offers its public types: their own, and those of `#[doc(alias = "...")]`."""
    found = set()
    for path in (REPOSITORY / "src").rglob("*.rs"):
        # The attributes and the head of each public struct.
        for attributes, name in re.findall(r"((?:^#\[[^\n]*\]\n)*)^pub struct (\w+)", path.read_text(), re.MULTILINE):
            found |= {name, *re.findall(r'doc\(alias = "(\w+)"\)', attributes)}
    return found


def upstream(value):
    """The upstream gradient of a loss: of either sign, and not the same everywhere."""
    return 1.75 - torch.arange(value.numel(), dtype=value.dtype).remainder(4).reshape(value.shape)


class NnFixture(Fixture):
    def add_call(self, name, draw, module, arguments, options, finite=True, of=lambda result: result, **more):
        """The call of `module` with `arguments` by name; integers among them take no gradient. `of` finds the loss in
        the result; `more` are further tensors of the case."""
        leaves = {role: argument.clone() for role, argument in arguments.items()}
        differentiable = {role: leaf.requires_grad_() for role, leaf in leaves.items() if leaf.is_floating_point()}
        differentiable |= {f"parameter.{key}": parameter for key, parameter in module.named_parameters()}
        value = of(module(*leaves.values()))
        grad_output = upstream(value)
        gradients = torch.autograd.grad((value * grad_output).sum(), differentiable.values(), allow_unused=True)
        assert all(torch.equal(leaves[role], arguments[role]) for role in leaves), f"{name}: the inputs were modified"
        roles = arguments | {role: tensor for role, tensor in differentiable.items() if role not in arguments}
        roles |= {"value": value} | more
        for role, gradient in zip(differentiable, gradients):
            roles[f"grad_{role}"] = torch.zeros_like(roles[role]) if gradient is None else gradient
        tensors = [tensor for tensor in roles.values() if tensor.is_floating_point()]
        assert all(tensor.dtype == draw.dtype for tensor in tensors), name
        if finite:
            assert all(tensor.isfinite().all() for tensor in tensors), f"{name}: not finite"
        self.add(name, type(module).__name__, draw.dtype, options, roles)

    def add_pair(self, name, draw, module, input, target, options, finite=True, **more):
        self.add_call(name, draw, module, {"input": input, "target": target}, options, finite, **more)


def classes(draw, shape, count):
    return (draw.uniform(shape, 0.0, 1.0) * count).to(torch.int64).clamp(max=count - 1)


class Turn:
    """One precision and reduction, through which all cases of a loss go."""

    def __init__(self, short, precision, reduction):
        self.prefix, self.dtype = f"{short}.{precision}.{reduction}", DTYPES[precision]
        self.options, self.number = {"reduction": reduction}, -1
        self.reduction, self.single = REDUCTIONS.index(reduction), precision == "f32"

    def takes_next(self):
        """Whether the next case is for this turn: each has all reductions, one of them in f32 and two in f64."""
        self.number += 1
        return (self.number % 3 == self.reduction) == self.single


def crossed(short):
    return [Turn(short, precision, reduction) for precision in DTYPES for reduction in REDUCTIONS]


def regression():
    fixture = NnFixture("nn_regression")
    thresholds = [("smooth", nn.SmoothL1Loss, "beta", [0.5, 2.0, 0.0]), ("huber", nn.HuberLoss, "delta", [0.5, 2.0])]
    for short, loss, option, values in thresholds:
        for turn in crossed(short):
            prefix, dtype, options = turn.prefix, turn.dtype, turn.options

            def add(name, shape, equal=0.0, **more):
                if not turn.takes_next():
                    return
                draw = Draw(name, dtype)
                # Differences on both sides of each threshold, never on it.
                input, target = draw.uniform(shape, -2, 2), draw.uniform(shape, -2, 2)
                target = torch.where(draw.chosen(shape, equal), input, target)
                fixture.add_pair(name, draw, loss(**options, **more), input, target, options | more, 0 not in shape)

            for shape in [(2, 1, 3, 2), (7,), ()]:
                add(f"{prefix}.{label(shape)}", shape)
            add(f"{prefix}.third_equal", (2, 4), equal=1 / 3)
            for value in values:
                add(f"{prefix}.{option}_{value}", (2, 5), equal=1 / 6, **{option: value})
            add(f"{prefix}.empty", (0, 3))
            # Exactly on the threshold, in numbers that are exact.
            if not turn.takes_next():
                continue
            name, more = f"{prefix}.on_the_threshold", {option: 0.5}
            input, target = torch.tensor([0.0, 0.5, -0.5, 0.25, -2.0], dtype=dtype), torch.zeros(5, dtype=dtype)
            fixture.add_pair(name, Draw(name, dtype), loss(**options, **more), input, target, options | more)
    return fixture


def binary():
    fixture = NnFixture("nn_binary")
    for turn in crossed("bce"):
        prefix, dtype, options = turn.prefix, turn.dtype, turn.options

        def add(name, shape, weight=None, input=None, target=None):
            if not turn.takes_next():
                return
            draw = Draw(name, dtype)
            finite = input is None and 0 not in shape  # the target's gradient at 0 and 1 is infinite
            if input is None:
                input = draw.uniform(shape, 0.01, 0.99)
            if target is None:  # a third each of 0, 1 and soft
                target = draw.uniform(shape, -1, 2).clamp(0, 1)
            given = {} if weight is None else {"weight": draw.uniform(weight, 0.25, 2)}
            fixture.add_pair(name, draw, nn.BCELoss(**options, **given), input, target, options, finite, **given)

        for shape, weights in [((2, 2, 1, 2), [(2, 1, 1, 1), (2,), ()]), ((2, 3), [(3,), (2, 1), (2, 3)]), ((), [()])]:
            add(f"{prefix}.{label(shape)}", shape)
            for weight in weights:
                add(f"{prefix}.{label(shape)}.weight_{label(weight)}", shape, weight=weight)
        add(f"{prefix}.empty", (0, 3))
        # Where the logarithm is cut off.
        input, target = torch.meshgrid(
            torch.tensor([0, 1e-30, 0.25, 1], dtype=dtype), torch.tensor([0, 0.25, 1], dtype=dtype), indexing="ij"
        )
        extreme = dict(shape=input.shape, input=input.contiguous(), target=target.contiguous())
        add(f"{prefix}.extreme", **extreme)
        add(f"{prefix}.extreme.weight", **extreme, weight=(4, 3))
    return fixture


def with_ignored(target, index):
    """Every third place ignored."""
    place = torch.arange(target.numel()).reshape(target.shape)
    return torch.where(place % 3 == 1, index, target)


def classification():
    fixture = NnFixture("nn_classification")
    # The input, and where its classes are to be found.
    shapes = [(4,), (4, 3), (2, 3, 2), (1, 3, 2, 2), (1, 3, 2, 1, 1)]
    for short, loss in [("ce", nn.CrossEntropyLoss), ("nll", nn.NLLLoss)]:
        for turn in crossed(short):
            prefix, dtype, options = turn.prefix, turn.dtype, turn.options

            def add(name, shape, target="classes", weight=False, finite=True, **more):
                if not turn.takes_next():
                    return
                draw, count = Draw(name, dtype), shape[min(1, len(shape) - 1)]
                axis = min(1, len(shape) - 1)
                input, places = draw.uniform(shape, -3, 3), shape[:axis] + shape[axis + 1 :]
                if loss is nn.NLLLoss:
                    input = input.log_softmax(axis)
                if target == "probabilities":
                    target = draw.uniform(shape, -3, 3).softmax(axis)
                elif target == "bytes":
                    target = classes(draw, places, count).to(torch.uint8)
                else:
                    ignored, target = target == "ignored", classes(draw, places, count)
                    index = more.get("ignore_index", -100)
                    if ignored:
                        target = torch.full(places, index)
                    elif "ignore_index" in more:
                        target = with_ignored(target, index)
                        assert (target != index).any(), f"{name}: nothing is left"
                given = {"weight": draw.uniform((count,), 0.25, 2)} if weight else {}
                fixture.add_pair(
                    name, draw, loss(**options, **given, **more), input, target, options | more, finite, **given
                )

            for shape in shapes:
                here = f"{prefix}.{label(shape)}"
                add(here, shape)
                add(f"{here}.weight", shape, weight=True)
            add(f"{prefix}.bytes", (5, 4), target="bytes")
            targets = ["classes"]
            if loss is nn.CrossEntropyLoss:
                targets.append("probabilities")
                for shape in [(5, 3), (1, 3, 2, 2)]:
                    for weight in (False, True):
                        here = f"{prefix}.{label(shape)}{'.weight' * weight}"
                        add(f"{here}.probabilities", shape, "probabilities", weight)
                        add(f"{here}.smoothing.probabilities", shape, "probabilities", weight, label_smoothing=0.1)
                        add(f"{here}.smoothing", shape, weight=weight, label_smoothing=0.1)
                        add(f"{here}.smoothing.ignore_1", shape, weight=weight, label_smoothing=0.1, ignore_index=1)
                add(f"{prefix}.4.probabilities", (4,), "probabilities")
                add(f"{prefix}.4.smoothing", (4,), weight=True, label_smoothing=0.1)
                add(f"{prefix}.smoothing_1", (4, 3), weight=True, label_smoothing=1.0)
                add(f"{prefix}.smoothing_1.probabilities", (4, 3), "probabilities", label_smoothing=1.0)
                add(f"{prefix}.bytes.smoothing", (5, 4), "bytes", label_smoothing=0.1)
            for index in (0, 7):
                for weight in (False, True):
                    add(f"{prefix}{'.weight' * weight}.ignore_{index}", (6, 3), weight=weight, ignore_index=index)
            add(f"{prefix}.image.ignore_255", (1, 3, 2, 3), weight=True, ignore_index=255)
            # The mean of nothing is NaN, its gradient 0.
            add(f"{prefix}.ignored", (2, 3), "ignored", finite=False)
            add(f"{prefix}.weight.ignored", (1, 3, 1, 2), "ignored", weight=True, finite=False)
            add(f"{prefix}.single.ignored", (3,), "ignored", finite=False)
            if loss is nn.CrossEntropyLoss:
                add(f"{prefix}.smoothing.ignored", (2, 3), "ignored", finite=False, label_smoothing=0.1)
                add(f"{prefix}.weight.smoothing.ignored", (2, 3), "ignored", True, finite=False, label_smoothing=0.1)
            for target in targets:
                add(f"{prefix}.empty.{target}", (0, 4), target=target, finite=False)
                add(f"{prefix}.no_pixels.{target}", (2, 3, 0, 2), target=target, finite=False)
            # Logits far apart.
            if loss is nn.CrossEntropyLoss and turn.takes_next():
                name = f"{prefix}.extreme"
                input = torch.tensor([[100, -100, 0], [1e4, 0, -1e4], [-1e-4, 0, 1e-4]], dtype=dtype)
                target = torch.tensor([1, 0, 2])
                fixture.add_pair(name, Draw(name, dtype), loss(**options), input, target, options)
    return fixture


def distribution():
    fixture = NnFixture("nn_distribution")
    for turn in crossed("kl"):
        prefix, dtype, options = turn.prefix, turn.dtype, turn.options
        for reduction in [options["reduction"]] + ["batchmean"] * (options["reduction"] == "mean"):
            here, given = prefix.replace("mean", reduction), {"reduction": reduction}
            for log_target in (False, True):

                def add(name, shape, zeros=False, finite=True):
                    if not turn.takes_next():
                        return
                    draw, more = Draw(name, dtype), {"log_target": True} if log_target else {}
                    axis = len(shape) - 1
                    input, target = (draw.uniform(shape, -2, 2).log_softmax(axis) for _ in range(2))
                    if not log_target:
                        target = target.exp()
                    if zeros:  # they cost nothing, and their gradient is infinite
                        target = torch.where(draw.chosen(shape, 0.4), 0.0, target)
                    fixture.add_pair(name, draw, nn.KLDivLoss(**given, **more), input, target, given | more, finite)

                log = f"{here}{'.log_target' * log_target}"
                for shape in [(3, 4), (2, 2, 1, 3), (4,), ()]:
                    add(f"{log}.{label(shape)}", shape)
                add(f"{log}.empty", (0, 3), finite=False)
                if not log_target:
                    add(f"{log}.zeros", (3, 4), zeros=True, finite=False)
    for turn in crossed("poisson"):
        prefix, dtype, options = turn.prefix, turn.dtype, turn.options
        for log_input in (True, False):
            for full in (False, True):

                def add(name, shape, finite=True, zeros=False, **more):
                    if not turn.takes_next():
                        return
                    draw = Draw(name, dtype)
                    input = draw.uniform(shape, -2, 3) if log_input else draw.uniform(shape, 0.1, 9)
                    # On both sides of 1, where Stirling's term sets in.
                    target = draw.uniform(shape, 0.1, 6) if not zeros else draw.uniform(shape, 0, 4).floor()
                    if zeros and not log_input:
                        input = torch.where(draw.chosen(shape, 0.5), 0.0, input)
                    more |= {} if log_input else {"log_input": False}
                    more |= {"full": True} if full else {}
                    module = nn.PoissonNLLLoss(**options, **more)
                    fixture.add_pair(name, draw, module, input, target, options | more, finite)

                here = f"{prefix}{'.no_log' * (not log_input)}{'.full' * full}"
                add(f"{here}.3x2", (3, 2))
                add(f"{here}.counts", (2, 4), finite=False, zeros=True)
                if full:
                    add(f"{here}.2x1x3x2", (2, 1, 3, 2))
                    add(f"{here}.empty", (0, 3), finite=False)
                if not log_input:
                    add(f"{here}.eps", (3, 2), eps=0.5)
    for turn in crossed("gauss"):
        prefix, dtype, options = turn.prefix, turn.dtype, turn.options
        for full in (False, True):

            def add(name, shape, var, target=None, finite=True, small=False, **more):
                if not turn.takes_next():
                    return
                draw = Draw(name, dtype)
                tensors = {"input": draw.uniform(shape), "target": draw.uniform(target or shape)}
                more |= {"full": True} if full else {}
                module = nn.GaussianNLLLoss(**options, **more)
                tensors["var"] = draw.uniform(var, 0.2, 3)
                if small:  # some nothing, some less than eps
                    kept, small_ones = draw.chosen(var, 0.5), draw.uniform(var, -1, 1).clamp(min=0) * 1e-6
                    tensors["var"] = torch.where(kept, tensors["var"], small_ones)
                fixture.add_call(name, draw, module, tensors, options | more, finite)

            here = f"{prefix}{'.full' * full}"
            shapes = [((3, 2), [(3, 2), (3, 1), (1, 2), (3,)])]
            if not full:
                shapes += [((2, 3, 1, 1), [(2, 1, 1, 1), (2, 3, 1)]), ((4,), [(1,), ()]), ((), [()])]
                add(f"{here}.target_3x1", (3, 2), (3, 2), target=(3, 1))
                add(f"{here}.empty", (0, 3), (0, 3), finite=False)
            for shape, vars in shapes:
                for var in vars:
                    add(f"{here}.{label(shape)}.var_{label(var)}", shape, var)
            add(f"{here}.small", (3, 4), (3, 4), small=True)
            add(f"{here}.eps", (3, 2), (3, 2), eps=0.75)
            # The variance as a number.
            if not turn.takes_next():
                continue
            name, more = f"{here}.number", {"full": True} if full else {}
            draw, module = Draw(name, dtype), nn.GaussianNLLLoss(**options, **more)
            tensors = {"input": draw.uniform((3, 2)), "target": draw.uniform((3, 2))}
            forward = module.forward
            module.forward = lambda input, target: forward(input, target, 0.7)
            fixture.add_call(name, draw, module, tensors, options | more | {"var": 0.7})
    return fixture


def filled(module, draw):
    """The module with parameters that depend on the case alone."""
    for parameter in module.parameters():
        parameter.data = draw.uniform(parameter.shape)
    return module


def adaptive():
    fixture = NnFixture("nn_adaptive")
    for precision, dtype in DTYPES.items():

        def add(name, batch=5, features=4, n_classes=7, cutoffs=(2, 4), target=None, finite=True, **more):
            draw = Draw(name, dtype)
            given = dict(in_features=features, n_classes=n_classes, cutoffs=list(cutoffs)) | more
            module = filled(nn.AdaptiveLogSoftmaxWithLoss(**given), draw)
            input = draw.uniform((features,) if batch is None else (batch, features))
            target = classes(draw, input.shape[:-1], n_classes) if target is None else torch.tensor(target)
            outputs = module(input, target)._asdict()
            if batch is not None:
                outputs |= {"log_prob": module.log_prob(input), "predict": module.predict(input)}
            # The gradients of both outputs.
            fixture.add_pair(name, draw, module, input, target, given, finite, of=sum, **outputs)

        prefix = f"adaptive.{precision}"
        default = dict(div_value=2.0)  # four features leave no more
        add(f"{prefix}.plain", batch=6, **default)
        add(f"{prefix}.head_bias", head_bias=True, **default)
        add(f"{prefix}.single", batch=None, **default)
        if precision == "f32":
            continue
        add(f"{prefix}.default_div_value", features=16)
        add(f"{prefix}.single_in_head", batch=None, target=1, **default)
        add(f"{prefix}.one_row", batch=1, **default)
        add(f"{prefix}.one_cluster", cutoffs=(5,))
        add(f"{prefix}.clusters_of_one", n_classes=4, features=8, cutoffs=(1, 2, 3), batch=2, **default)
        add(f"{prefix}.borders", batch=6, target=[0, 1, 2, 3, 4, 6], **default)
        add(f"{prefix}.all_in_head", batch=3, target=[0, 1, 1], **default)
        add(f"{prefix}.none_in_head", batch=3, target=[3, 6, 4], **default)
        add(f"{prefix}.empty", batch=0, finite=False, **default)
    return fixture


def linear():
    fixture = NnFixture("nn_linear")
    for turn in crossed("lce"):
        prefix, dtype, options = turn.prefix, turn.dtype, turn.options

        def add(name, input=(6, 2), target="classes", weight=False, chunk=None, method=None, finite=True, **more):
            if not turn.takes_next():
                return
            draw = Draw(name, dtype)
            given = {"in_features": 2, "num_classes": 4} | options | more
            tensors = {"weight": draw.uniform((4,), 0.25, 2)} if weight else {}
            chunking, recorded = None, dict(given)
            if chunk or method:
                size = dict(batch_chunk_size=chunk, chunking_method=method)
                chunking = nn.LinearCrossEntropyOptions(**size, allow_retain_graph=True)
                recorded |= {"batch_chunk_size": chunk} if chunk else {"chunking_method": method}
            module = filled(nn.LinearCrossEntropyLoss(**given, **tensors, options=chunking), draw)
            places = input[:-1] + tuple(more.get("out_features", ()))
            if target == "probabilities":
                shape = (*input[:-1], 4, *more.get("out_features", ()))
                target = draw.uniform(shape, -2, 2).softmax(len(input) - 1)
            else:
                index = more.get("ignore_index", -100)
                target = torch.full(places, index) if target == "ignored" else classes(draw, places, 4)
                if "ignore_index" in more:
                    target = with_ignored(target, index)
            input = draw.uniform(input, -2, 2)
            fixture.add_pair(name, draw, module, input, target, recorded, finite, **tensors)

        biased = {"bias": True}
        add(f"{prefix}")
        add(f"{prefix}.bias", **biased)
        add(f"{prefix}.weight.ignore_1", weight=True, ignore_index=1)
        add(f"{prefix}.bias.weight.ignore_1", weight=True, ignore_index=1, **biased)
        add(f"{prefix}.bias.single", input=(2,), **biased)
        add(f"{prefix}.smoothing.weight", weight=True, label_smoothing=0.2)
        add(f"{prefix}.probabilities", target="probabilities", label_smoothing=0.2)
        add(f"{prefix}.bias.probabilities.weight", target="probabilities", weight=True, **biased)
        add(f"{prefix}.out_features", input=(2, 2), out_features=(2,))
        add(f"{prefix}.bias.out_features", input=(2, 2), out_features=(2, 1), **biased)
        add(f"{prefix}.bias.out_features.probabilities", (2, 2), "probabilities", out_features=(2,), **biased)
        add(f"{prefix}.bias.ignored", target="ignored", finite=False, **biased)
        add(f"{prefix}.bias.empty", input=(0, 2), finite=False, **biased)
        if options["reduction"] == "none":
            continue
        # In pieces: of 1 row, of rows that do and do not divide the batch, all in one.
        for rows in (1, 4, 100):
            add(f"{prefix}.rows_{rows}", chunk=rows)
        add(f"{prefix}.bias.rows_2", chunk=2, **biased)
        for method in ("auto", "aspect_ratio", "aspect_ratio:3"):
            add(f"{prefix}.{method.replace(':', '_')}", input=(7, 2), method=method)
        add(f"{prefix}.bias.rows_4.weight.ignore_1", chunk=4, weight=True, ignore_index=1, **biased)
        add(f"{prefix}.rows_4.ignore_9", chunk=4, ignore_index=9)
        add(f"{prefix}.bias.rows_4.single", input=(2,), chunk=4, **biased)
    return fixture


def main():
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    warnings.filterwarnings("ignore", message="reduction: 'mean' divides the total loss")
    missing = set(losses_of_pytorch()) - types_of_the_crate()
    if missing:
        raise SystemExit(f"without a counterpart in src, nor left out on purpose: {', '.join(sorted(missing))}")
    OUT.mkdir(parents=True, exist_ok=True)
    names = {"torch": torch.__version__.split("+")[0], "losses": losses_of_pytorch(), "left_out": LEFT_OUT}
    (OUT / "nn_losses.json").write_text(json.dumps(names, indent=1) + "\n")
    fixtures = [regression(), binary(), classification(), distribution(), adaptive(), linear()]
    total = sum(fixture.save(OUT) for fixture in fixtures)
    print(f"{total} bytes in {OUT}")
    if total > SIZE_LIMIT:
        raise SystemExit(f"more than {SIZE_LIMIT} bytes: use smaller shapes")


if __name__ == "__main__":
    main()
