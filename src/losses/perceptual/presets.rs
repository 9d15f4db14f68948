//! [`PerceptualPreset`].

use std::fmt;

use serde::{Deserialize, Serialize};

use super::perceptual_loss::Options;
use super::{FeatureCriterion, GramNormalization, Style};
use crate::{Architecture, DataRange, InputNormalization, Tap};

/// The options of [`PerceptualLoss`](crate::PerceptualLoss) as a paper or a library has them: taps, weights, criterion,
/// range and normalisation of the images, and style.
///
/// [`PerceptualLoss::preset`](crate::PerceptualLoss::preset) makes the loss on a network of yours,
/// [`PerceptualLoss::pretrained_preset`](crate::PerceptualLoss::pretrained_preset) on the network that the source
/// uses. In an objective's file, `preset = "real_esrgan"` gives all options, and any other option overrides it.
///
/// | preset | source | network | taps and weights | criterion | images, normalisation | style |
/// |---|---|---|---|---|---|---|
/// | `nectargan` | NectarGAN | vgg19 | relu1_2, relu2_2, relu3_3: 1 each | L1 | as they are | |
/// | `esrgan` | [BasicSR], ESRGAN | vgg19 | conv5_4: 1 | L1 | `[0, 1]`, ImageNet | |
/// | `real_esrgan` | [BasicSR], Real-ESRGAN | vgg19 | conv1_2: 0.1, conv2_2: 0.1, conv3_4, conv4_4, conv5_4: 1 each | L1 | `[0, 1]`, ImageNet | |
/// | `gfpgan` | [GFPGAN] | vgg19 | as `real_esrgan` | L1 | `[-1, 1]`, ImageNet | the same taps, 50 times their weights; L1, `C·H·W` |
/// | `srgan` | [SRGAN] | vgg19 | relu5_4: 1 / 12.75² | MSE | `[-1, 1]`, ImageNet | |
/// | `pix2pixhd` | [pix2pixHD] | vgg19 | relu1_1: 1/32, relu2_1: 1/16, relu3_1: 1/8, relu4_1: 1/4, relu5_1: 1 | L1 | as they are, `[-1, 1]` | |
/// | `spade` | [SPADE] | vgg19 | as `pix2pixhd` | L1 | as they are, `[-1, 1]` | |
/// | `hifacegan` | [BasicSR], HiFaceGAN | vgg19 | 10 times those of `pix2pixhd` | L1 | as they are, `[0, 1]` | |
/// | `johnson` | [PyTorch's examples] | vgg16 | relu2_2: 1e5 | MSE | `[0, 255]`, ImageNet | relu1_2, relu2_2, relu3_3, relu4_3: 1e10 each; MSE, `C·H·W` |
/// | `gatys` | [Gatys] | vgg19 of Caffe | relu4_2: 1 | MSE | `[0, 1]`, Caffe | relu1_1, relu2_1, relu3_1, relu4_1, relu5_1: 1e3 / C² each; MSE, `H·W` |
/// | `piq_content` | [piq], `ContentLoss` | vgg16 | relu3_3: 256 | MSE | `[0, 1]`, ImageNet | |
/// | `piq_style` | [piq], `StyleLoss` | vgg16 | | | `[0, 1]`, ImageNet | relu3_3: 1; MSE, not divided |
///
/// - **Weights** are those within the source's loss. What a training program multiplies the loss by is not among
///   them: lambda 10 of pix2pixHD and SPADE. BasicSR's losses have their weights as arguments (`perceptual_weight`,
///   `style_weight`), and the presets have those of the published configurations: 10 of `hifacegan`, and 50 for the
///   style of `gfpgan`. Those of `johnson` and `gatys` are the defaults of their programs.
/// - **SRGAN** divides the features by 12.75, which divides their squares by 12.75². The paper does not say how images
///   are normalised: here it is as torchvision's network was trained.
/// - **piq** takes the mean over positions, and the sum over channels: its weight 1 is 256 here, the channels of
///   relu3_3.
/// - **Style transfer** compares content with one image, and style with another. It takes two losses: the
///   preset with `style: None`, and the preset with `taps: vec![]`.
/// - **Caffe's VGG19** is not torchvision's. `gatys` has no pretrained weights for that reason. The file is
///   `vgg_conv.pth`, from [its repository][Gatys]. [`Network::from_file`](crate::Network::from_file) reads it once its
///   parameters are named as torchvision's, `features.0.weight` for `conv1_1.weight`. As the source, the preset takes
///   maxima; the paper has averages, which are
///   [`network.with_pooling(Pooling::Average)`](crate::Network::with_pooling).
///
/// [BasicSR]: https://github.com/XPixelGroup/BasicSR/blob/master/basicsr/losses/basic_loss.py
/// [GFPGAN]: https://github.com/TencentARC/GFPGAN/blob/master/options/train_gfpgan_v1.yml
/// [SRGAN]: https://arxiv.org/abs/1609.04802
/// [pix2pixHD]: https://github.com/NVIDIA/pix2pixHD/blob/master/models/networks.py
/// [SPADE]: https://github.com/NVlabs/SPADE/blob/master/models/networks/loss.py
/// [PyTorch's examples]: https://github.com/pytorch/examples/tree/main/fast_neural_style
/// [Gatys]: https://github.com/leongatys/PytorchNeuralStyleTransfer
/// [piq]: https://piq.readthedocs.io
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{Loss, Network, PerceptualLoss, PerceptualPreset};
///
/// # tch::manual_seed(0);
/// # let vs = nn::VarStore::new(Device::Cpu);
/// let preset = PerceptualPreset::PiqContent;
/// let network = Network::new(&vs.root(), &preset.architecture());
/// let loss = PerceptualLoss::preset(preset, network)?;
/// let image = Tensor::rand([1, 3, 8, 8], (Kind::Float, Device::Cpu));
/// assert!(loss.forward(&image, &image.flip([3])).double_value(&[]) > 0.0);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PerceptualPreset {
    /// The default options.
    #[default]
    NectarGan,
    /// ESRGAN, and SRGAN as BasicSR has it.
    Esrgan,
    /// Real-ESRGAN and LDL.
    #[serde(rename = "real_esrgan")]
    RealEsrgan,
    /// GFPGAN, version 1.
    Gfpgan,
    /// The loss of SRGAN's paper.
    Srgan,
    /// pix2pixHD.
    Pix2PixHd,
    /// SPADE, also known as GauGAN.
    Spade,
    /// HiFaceGAN, as BasicSR has it.
    HiFaceGan,
    /// Fast style transfer of J. Johnson, as PyTorch's examples have it.
    Johnson,
    /// Style transfer of L. Gatys, from his own program.
    Gatys,
    /// `ContentLoss` of piq.
    #[serde(rename = "piq_content")]
    PiqContent,
    /// `StyleLoss` of piq.
    #[serde(rename = "piq_style")]
    PiqStyle,
}

const REAL_ESRGAN: [(Tap, f64); 5] = [
    (Tap::new("conv1_2"), 0.1),
    (Tap::new("conv2_2"), 0.1),
    (Tap::new("conv3_4"), 1.0),
    (Tap::new("conv4_4"), 1.0),
    (Tap::new("conv5_4"), 1.0),
];

const PIX2PIX_HD: [(Tap, f64); 5] = [
    (Tap::RELU1_1, 1.0 / 32.0),
    (Tap::RELU2_1, 1.0 / 16.0),
    (Tap::RELU3_1, 1.0 / 8.0),
    (Tap::RELU4_1, 1.0 / 4.0),
    (Tap::RELU5_1, 1.0),
];

/// Taps with their weights multiplied by `factor`.
fn scaled(taps: [(Tap, f64); 5], factor: f64) -> Vec<(Tap, f64)> {
    taps.into_iter().map(|(tap, weight)| (tap, factor * weight)).collect()
}

impl PerceptualPreset {
    /// All of them.
    pub const ALL: [PerceptualPreset; 12] = [
        PerceptualPreset::NectarGan,
        PerceptualPreset::Esrgan,
        PerceptualPreset::RealEsrgan,
        PerceptualPreset::Gfpgan,
        PerceptualPreset::Srgan,
        PerceptualPreset::Pix2PixHd,
        PerceptualPreset::Spade,
        PerceptualPreset::HiFaceGan,
        PerceptualPreset::Johnson,
        PerceptualPreset::Gatys,
        PerceptualPreset::PiqContent,
        PerceptualPreset::PiqStyle,
    ];

    /// The network that the source uses.
    pub fn architecture(self) -> Architecture {
        match self {
            PerceptualPreset::Johnson | PerceptualPreset::PiqContent | PerceptualPreset::PiqStyle => {
                Architecture::VGG16
            }
            _ => Architecture::VGG19,
        }
    }

    /// Whether the source's network was trained with Caffe, and is none of torchvision's.
    pub(crate) fn is_of_caffe(self) -> bool {
        self == PerceptualPreset::Gatys
    }

    /// All options of the loss.
    pub(crate) fn options(self) -> Options {
        let plain = Options {
            taps: vec![(Tap::RELU1_2, 1.0), (Tap::RELU2_2, 1.0), (Tap::RELU3_3, 1.0)],
            criterion: FeatureCriterion::L1,
            style: None,
            data_range: DataRange::Unit,
            normalization: InputNormalization::None,
        };
        let normalized = Options { normalization: InputNormalization::ImageNet, ..plain.clone() };
        let mse = Options { criterion: FeatureCriterion::Mse, ..normalized.clone() };
        let style = |taps, gram| Some(Style { taps, criterion: FeatureCriterion::Mse, gram });
        match self {
            PerceptualPreset::NectarGan => plain,
            PerceptualPreset::Esrgan => Options { taps: vec![(Tap::new("conv5_4"), 1.0)], ..normalized },
            PerceptualPreset::RealEsrgan => Options { taps: REAL_ESRGAN.into(), ..normalized },
            PerceptualPreset::Gfpgan => Options {
                taps: REAL_ESRGAN.into(),
                style: Some(Style::new(scaled(REAL_ESRGAN, 50.0))),
                data_range: DataRange::Signed,
                ..normalized
            },
            PerceptualPreset::Srgan => Options {
                taps: vec![(Tap::RELU5_4, 1.0 / (12.75 * 12.75))],
                data_range: DataRange::Signed,
                ..mse
            },
            PerceptualPreset::Pix2PixHd | PerceptualPreset::Spade => {
                Options { taps: PIX2PIX_HD.into(), data_range: DataRange::Signed, ..plain }
            }
            PerceptualPreset::HiFaceGan => Options { taps: scaled(PIX2PIX_HD, 10.0), ..plain },
            PerceptualPreset::Johnson => Options {
                taps: vec![(Tap::RELU2_2, 1e5)],
                style: style(
                    [Tap::RELU1_2, Tap::RELU2_2, Tap::RELU3_3, Tap::RELU4_3].map(|tap| (tap, 1e10)).into(),
                    GramNormalization::Elements,
                ),
                data_range: DataRange::Bytes,
                ..mse
            },
            PerceptualPreset::Gatys => {
                let taps = PIX2PIX_HD.map(|(tap, _)| tap).into_iter().zip([64.0, 128.0, 256.0, 512.0, 512.0]);
                Options {
                    taps: vec![(Tap::RELU4_2, 1.0)],
                    style: style(
                        taps.map(|(tap, channels): (Tap, f64)| (tap, 1e3 / (channels * channels))).collect(),
                        GramNormalization::Positions,
                    ),
                    normalization: InputNormalization::Caffe,
                    ..mse
                }
            }
            PerceptualPreset::PiqContent => Options { taps: vec![(Tap::RELU3_3, 256.0)], ..mse },
            PerceptualPreset::PiqStyle => Options {
                taps: vec![],
                style: style(vec![(Tap::RELU3_3, 1.0)], GramNormalization::None),
                ..mse
            },
        }
    }
}

/// The name in a file.
impl fmt::Display for PerceptualPreset {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        self.serialize(formatter)
    }
}
