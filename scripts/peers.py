"""The losses of the catalogue in their reference implementations, for bench_peers.py: by our name, what they compute on
images from 0 to 1. Packages are imported when they are used."""

# Beside torch: pip's names.
REQUIREMENTS = [
    "piq==0.8.0",
    "kornia==0.9.0",
    "pytorch-msssim==1.0.0",
    "focal-frequency-loss==0.3.0",
]


def pytorch_msssim(name):
    def loss(fake, real):
        import pytorch_msssim as package

        return 1 - getattr(package, name)(fake, real, data_range=1.0)

    return loss


def piq(name):
    def make():
        import piq as package

        return getattr(package, name)()

    return made(make)


def kornia(name):
    def make():
        import kornia

        return getattr(kornia.losses, name)()

    return made(make)


def made(make):
    """The module, made once."""
    module = None

    def loss(*images):
        nonlocal module
        if module is None:
            module = make().to(images[0].device)
        return module(*images)

    return loss


def total_variation():
    module = piq("TVLoss")
    return lambda fake, real: module(fake)


def focal_frequency():
    def make():
        from focal_frequency_loss import FocalFrequencyLoss

        return FocalFrequencyLoss()

    return made(make)


def fft(fake, real):
    import torch

    def parts(images):
        spectrum = torch.fft.fft2(images)
        return torch.stack([spectrum.real, spectrum.imag], -1)

    return torch.nn.functional.l1_loss(parts(fake), parts(real))


def charbonnier(fake, real):
    return ((fake - real) ** 2 + 1e-12).sqrt().mean()


def gradient_difference(fake, real):
    def along(dim):
        steps = [images.diff(dim=dim).abs() for images in (fake, real)]
        return (steps[0] - steps[1]).abs().mean()

    return along(2) + along(3)


LOSSES = {
    "CharbonnierLoss": charbonnier,
    "TotalVariationLoss": total_variation(),
    "GradientDifferenceLoss": gradient_difference,
    "SsimLoss": pytorch_msssim("ssim"),
    "MultiScaleSsimLoss": pytorch_msssim("ms_ssim"),
    "MsSsimL1Loss": kornia("MS_SSIMLoss"),
    "VifLoss": piq("VIFLoss"),
    "InformationWeightedSsimLoss": piq("InformationWeightedSSIMLoss"),
    "GmsdLoss": piq("GMSDLoss"),
    "MultiScaleGmsdLoss": piq("MultiScaleGMSDLoss"),
    "FsimLoss": piq("FSIMLoss"),
    "HaarPsiLoss": piq("HaarPSILoss"),
    "MdsiLoss": piq("MDSILoss"),
    "VsiLoss": piq("VSILoss"),
    "SrSimLoss": piq("SRSIMLoss"),
    "DssLoss": piq("DSSLoss"),
    "FocalFrequencyLoss": focal_frequency(),
    "FftLoss": fft,
}
