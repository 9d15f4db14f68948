"""A discriminator's whole step with a gradient penalty, as PyTorch trainers write it, for bench_peers.py."""

import torch
import torch.nn.functional as F

# From, to, stride of each convolution with 4x4 kernels: a PatchGAN.
LAYERS = [(3, 64, 2), (64, 128, 2), (128, 256, 2), (256, 512, 1), (512, 1, 1)]


def random_weights():
    torch.manual_seed(0)
    weights = {}
    for index, (inputs, outputs, _) in enumerate(LAYERS):
        weights[f"{index}.weight"] = torch.randn(outputs, inputs, 4, 4) * 0.02
        weights[f"{index}.bias"] = torch.zeros(outputs)
    return weights


def r1(judge, real, fake, share):
    """BasicSR's `r1_penalty` with its weight, in every step."""
    real = real.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(judge(real).sum(), real, create_graph=True)
    return 5 * gradient.pow(2).reshape(len(real), -1).sum(1).mean()


def wgan_gp(judge, real, fake, share):
    """CycleGAN's `cal_gradient_penalty` with its weight; `share` is what of the real image is in a mixed one."""
    mixed = (share * real + (1 - share) * fake).requires_grad_()
    outputs = judge(mixed)
    (gradient,) = torch.autograd.grad(
        outputs, mixed, grad_outputs=torch.ones_like(outputs), create_graph=True, retain_graph=True
    )
    return 10 * (((gradient.reshape(len(real), -1) + 1e-16).norm(2, dim=1) - 1) ** 2).mean()


# By work: the loss of the outputs for real and for fake images, and the penalty.
STEPS = {
    "discriminator with R1": (lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(), r1),
    "discriminator with WGAN-GP": (lambda real, fake: fake.mean() - real.mean(), wgan_gp),
}


class Step:
    def __init__(self, work, weights, images):
        self.gan, self.penalty = STEPS[work]
        self.real, self.fake, self.share = images["real"], images["fake"], images["share"]
        self.parameters = [weights[f"{index}.{name}"] for index in range(len(LAYERS)) for name in ("weight", "bias")]
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.adam = torch.optim.Adam(self.parameters, lr=2e-4, betas=(0.5, 0.999))

    def judge(self, x):
        for index, (_, _, stride) in enumerate(LAYERS):
            x = F.conv2d(x, *self.parameters[2 * index : 2 * index + 2], stride=stride, padding=1)
            if 0 < index < len(LAYERS) - 1:
                x = F.instance_norm(x)
            if index < len(LAYERS) - 1:
                x = F.leaky_relu(x)
        return x

    def __call__(self):
        """The loss, and the gradients of all parameters."""
        self.adam.zero_grad()
        loss = self.gan(self.judge(self.real), self.judge(self.fake))
        loss = loss + self.penalty(self.judge, self.real, self.fake, self.share)
        loss.backward()
        self.adam.step()
        return loss.detach(), torch.cat([parameter.grad.flatten() for parameter in self.parameters])
