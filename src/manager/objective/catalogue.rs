//! The catalogue: one row for each loss that an objective's file can name.
//!
//! A row is the number of tensors that the loss takes, its type, and PyTorch's spelling where that is another. A type
//! that needs more than its options to be made, a network or parameters, has a type of options that can
//! [`Make`](super::make::Make) it.

use serde_json::Value;

use super::make::{Make, Site};
use super::node::Node;
use super::problem::{nearest, Problem};
use super::read::{field_names, read};
use super::spec::{catalogue, check, defaults, has_parameters, make, options};
use super::{
    ContextualLossSpec, DistsSpec, GanLossSpec, LpipsSpec, ObjectiveError, PerceptualLossSpec,
    RelativisticLossSpec,
};
use crate::manager::adversarial::OfPredictions;
use crate::manager::function::Function;
use crate::{
    AdaptiveLogSoftmaxConfig, ArcFaceConfig, ClipConfig, CosFaceConfig, DataRange, DinoConfig, Error,
    InputNormalization, LeCamConfig, LinearCrossEntropyConfig, PathLengthConfig, Result, SigLipConfig,
};

catalogue! {
    pixel {
        binary L1Loss;
        binary MseLoss = "MSELoss";
        binary SmoothL1Loss;
        binary HuberLoss;
        binary CharbonnierLoss;
        binary CauchyLoss;
        binary GemanMcclureLoss;
        binary WelschLoss;
        binary WingLoss;
        binary PsnrLoss = "PSNRLoss";
        unary TotalVariationLoss = "TVLoss";
        binary WeightedTotalVariationLoss = "WeightedTVLoss";
        ternary WeightedL1Loss;
        ternary WeightedMseLoss = "WeightedMSELoss";
        ternary WeightedCharbonnierLoss;
    }
    edge {
        binary Sobel;
        binary Laplacian;
        binary EdgeLoss;
        binary GradientDifferenceLoss;
    }
    structure {
        binary SsimLoss = "SSIMLoss";
        binary MultiScaleSsimLoss = "MultiScaleSSIMLoss";
        binary MsSsimL1Loss = "MS_SSIMLoss";
        binary VifLoss = "VIFLoss";
        binary InformationWeightedSsimLoss = "InformationWeightedSSIMLoss";
    }
    similarity {
        binary GmsdLoss = "GMSDLoss";
        binary MultiScaleGmsdLoss = "MultiScaleGMSDLoss";
        binary HaarPsiLoss = "HaarPSILoss";
        binary MdsiLoss = "MDSILoss";
        binary FsimLoss = "FSIMLoss";
        binary VsiLoss = "VSILoss";
        binary SrSimLoss = "SRSIMLoss";
        binary DssLoss = "DSSLoss";
    }
    frequency {
        binary FocalFrequencyLoss;
        binary FftLoss = "FFTLoss";
    }
    perceptual {
        made PerceptualLoss(PerceptualLossSpec);
        made Dists(DistsSpec) = "DISTS";
        made ContextualLoss(ContextualLossSpec);
        made Lpips(LpipsSpec) = "LPIPS";
    }
    adversarial {
        made GanLoss(GanLossSpec) = "GANLoss";
        made RelativisticLoss(RelativisticLossSpec);
        features FeatureMatchingLoss;
        made LeCamLoss(LeCamConfig);
    }
    penalty {
        unary GradientPenalty;
        unary R1Penalty;
        unary OrthogonalRegularization;
        made PathLengthPenalty(PathLengthConfig);
    }
    classification {
        binary BceLoss = "BCELoss";
        binary BceWithLogitsLoss = "BCEWithLogitsLoss";
        binary CrossEntropyLoss;
        binary NllLoss = "NLLLoss";
        made LinearCrossEntropyLoss(LinearCrossEntropyConfig);
        made AdaptiveLogSoftmaxWithLoss(AdaptiveLogSoftmaxConfig);
        binary SoftMarginLoss;
        binary MultiMarginLoss;
        binary MultiLabelMarginLoss;
        binary MultiLabelSoftMarginLoss;
        binary SigmoidFocalLoss = "sigmoid_focal_loss";
        binary FocalLoss;
        binary SoftTargetCrossEntropyLoss = "SoftTargetCrossEntropy";
        ternary MaskedSoftTargetCrossEntropyLoss;
        binary BinaryCrossEntropyLoss = "BinaryCrossEntropy";
        binary AsymmetricLoss = "AsymmetricLossMultiLabel";
        binary AsymmetricSingleLabelLoss = "AsymmetricLossSingleLabel";
        binary PolyCrossEntropyLoss = "PolyCrossEntropy";
        binary PolyBinaryCrossEntropyLoss = "PolyBinaryCrossEntropy";
        binary DistillationLoss;
        binary JsdCrossEntropyLoss = "JsdCrossEntropy";
    }
    embedding {
        binary HingeEmbeddingLoss;
        ternary MarginRankingLoss;
        ternary CosineEmbeddingLoss;
        ternary TripletMarginLoss;
        ternary TripletMarginWithDistanceLoss;
        binary PatchNceLoss = "PatchNCELoss";
        made ArcFaceLoss(ArcFaceConfig);
        made CosFaceLoss(CosFaceConfig);
        binary NtXentLoss = "NTXentLoss";
        binary LabelNtXentLoss;
        binary SupConLoss;
        binary InfoNceLoss = "InfoNCE";
        made ClipLoss(ClipConfig);
        made SigLipLoss(SigLipConfig);
        binary TripletMarginWithMinerLoss;
        binary ContrastiveLoss;
        binary MultiSimilarityLoss;
        binary CircleLoss;
    }
    distribution {
        binary KlDivLoss = "KLDivLoss";
        binary PoissonNllLoss = "PoissonNLLLoss";
        ternary GaussianNllLoss = "GaussianNLLLoss";
        binary GaussianKlLoss = "KLDLoss";
        binary NormalKlLoss = "normal_kl";
        ternary NegativeBinomialNllLoss = "NegativeBinomialNLLLoss";
    }
    regression {
        binary RmseLoss = "RMSELoss";
        binary LpLoss;
        binary LogCoshLoss;
        binary QuantileLoss;
        ternary QuantileHuberLoss;
        binary CoralLoss;
        binary CornLoss;
        binary HlGaussLoss = "HLGaussLoss";
    }
    sequence {
        sequence CtcLoss = "CTCLoss";
        sequence RnntLoss = "rnnt_loss";
    }
    audio {
        binary SiSdrLoss = "SISDRLoss";
        binary SdSdrLoss = "SDSDRLoss";
        binary SnrLoss = "SNRLoss";
        binary StftLoss = "STFTLoss";
        binary MultiResolutionStftLoss = "MultiResolutionSTFTLoss";
    }
    self_supervised {
        binary BarlowTwinsLoss;
        binary VicRegLoss = "VICRegLoss";
        binary ByolLoss = "NegativeCosineSimilarity";
        made DinoLoss(DinoConfig) = "DINOLoss";
    }
    segmentation {
        binary DiceLoss;
        binary GeneralizedDiceLoss;
        binary JaccardLoss;
        binary TverskyLoss;
        binary FocalTverskyLoss;
        binary DiceCeLoss = "DiceCELoss";
        binary DiceFocalLoss;
        binary LovaszHingeLoss;
        binary LovaszSoftmaxLoss;
        binary SoftBceWithLogitsLoss = "SoftBCEWithLogitsLoss";
        binary SoftCrossEntropyLoss;
    }
    boxes {
        binary BoxIouLoss;
        binary GeneralizedBoxIouLoss = "generalized_box_iou_loss";
        binary DistanceBoxIouLoss = "distance_box_iou_loss";
        binary CompleteBoxIouLoss = "complete_box_iou_loss";
    }
}

/// What people write for losses that are called otherwise.
const SYNONYMS: &[(&str, &str)] = &[
    ("LSGAN", "GanLoss"),
    ("HingeLoss", "GanLoss"),
    ("HingeGANLoss", "GanLoss"),
    ("AdversarialLoss", "GanLoss"),
    ("PatchAdversarialLoss", "GanLoss"),
    ("RaGAN", "RelativisticLoss"),
    ("criterionFeat", "FeatureMatchingLoss"),
    ("GANFeatLoss", "FeatureMatchingLoss"),
    ("WGANGP", "GradientPenalty"),
    ("WGAN_GP", "GradientPenalty"),
    ("DRAGAN", "GradientPenalty"),
    ("GradientPenaltyLoss", "GradientPenalty"),
    ("R1", "R1Penalty"),
    ("R1GradientPenalty", "R1Penalty"),
    ("ortho", "OrthogonalRegularization"),
    ("OrthogonalLoss", "OrthogonalRegularization"),
    ("VAELoss", "GaussianKlLoss"),
    ("L2", "MseLoss"),
    ("L2Loss", "MseLoss"),
    ("MAE", "L1Loss"),
    ("VGGLoss", "PerceptualLoss"),
    ("VGG", "PerceptualLoss"),
    ("VGG19", "PerceptualLoss"),
    ("VGGPerceptual", "PerceptualLoss"),
    ("DeepImageStructureAndTextureSimilarity", "Dists"),
    ("binary_cross_entropy", "BceLoss"),
    ("binary_cross_entropy_with_logits", "BceWithLogitsLoss"),
    ("SSIM", "SsimLoss"),
    ("DSSIM", "SsimLoss"),
    ("MS_SSIM", "MultiScaleSsimLoss"),
    ("MSSSIMLoss", "MultiScaleSsimLoss"),
    ("CX", "ContextualLoss"),
    ("CXLoss", "ContextualLoss"),
    ("LearnedPerceptualImagePatchSimilarity", "Lpips"),
    ("ContentLoss", "PerceptualLoss"),
    ("StyleLoss", "PerceptualLoss"),
    ("GramLoss", "PerceptualLoss"),
    ("R2Penalty", "R1Penalty"),
    ("lecam_reg", "LeCamLoss"),
    ("g_path_regularize", "PathLengthPenalty"),
    ("BinaryFocalLossWithLogits", "SigmoidFocalLoss"),
    ("LabelSmoothingCrossEntropy", "CrossEntropyLoss"),
    ("PolyLoss", "PolyCrossEntropyLoss"),
    ("Poly1CrossEntropyLoss", "PolyCrossEntropyLoss"),
    ("ASL", "AsymmetricLoss"),
    ("KDLoss", "DistillationLoss"),
    ("PinballLoss", "QuantileLoss"),
    ("KnowledgeDistillationLoss", "DistillationLoss"),
    ("SoftDiceLoss", "DiceLoss"),
    ("IoULoss", "JaccardLoss"),
    ("LovaszLoss", "LovaszSoftmaxLoss"),
    ("GIoULoss", "GeneralizedBoxIouLoss"),
    ("DIoULoss", "DistanceBoxIouLoss"),
    ("CIoULoss", "CompleteBoxIouLoss"),
    ("AMSoftmaxLoss", "CosFaceLoss"),
    ("SimSiamLoss", "ByolLoss"),
    ("RNNTLoss", "RnntLoss"),
    ("TransducerLoss", "RnntLoss"),
    ("SISNRLoss", "SiSdrLoss"),
    ("MRSTFTLoss", "MultiResolutionStftLoss"),
    ("SimCLRLoss", "NtXentLoss"),
    ("SupervisedContrastiveLoss", "SupConLoss"),
    ("BatchHardTripletLoss", "TripletMarginWithMinerLoss"),
    ("OnlineTripletLoss", "TripletMarginWithMinerLoss"),
    ("SigmoidContrastiveLoss", "SigLipLoss"),
];

impl LossSpec {
    /// The loss with this name, in this crate's or PyTorch's spelling, and the default options.
    ///
    /// # Errors
    /// A name that no loss has, with the one that may be meant.
    ///
    /// ```
    /// use tch_losses::manager::LossSpec;
    ///
    /// assert_eq!(LossSpec::named("MSELoss")?, LossSpec::MseLoss(Default::default()));
    /// let error = LossSpec::named("Sobl").unwrap_err();
    /// assert_eq!(error.to_string(), "the catalogue of losses: `Sobl` is no loss, did you mean `Sobel`?");
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn named(name: &str) -> Result<LossSpec> {
        let spec = LossSpec::read(name, &Node::empty(1));
        Ok(spec.map_err(|problem| ObjectiveError {
            origin: "the catalogue of losses".into(),
            field: String::new(),
            problem: problem.text,
        })?)
    }

    /// The range that the loss expects of its images' values; `None` for a loss without that option, or that takes
    /// images as they are.
    ///
    /// ```
    /// use tch_losses::manager::LossSpec;
    /// use tch_losses::DataRange;
    ///
    /// assert_eq!(LossSpec::named("SSIMLoss")?.data_range(), Some(DataRange::Unit));
    /// assert_eq!(LossSpec::named("L1Loss")?.data_range(), None);
    /// # Ok::<(), tch_losses::Error>(())
    /// ```
    pub fn data_range(&self) -> Option<DataRange> {
        if matches!(self, LossSpec::PerceptualLoss(spec) if spec.normalization == InputNormalization::None) {
            return None;
        }
        let options = self.options().ok()?;
        serde_json::from_value(options.get("data_range")?.clone()).ok()
    }

    pub(super) fn from_parts(name: &str, options: &Node) -> std::result::Result<LossSpec, Problem> {
        let spec = LossSpec::read(name, options)?;
        spec.check().map_err(|problem| {
            let option = problem.path.strip_prefix("options.").and_then(|option| options.get(option));
            problem.or_line(option.unwrap_or(options).line)
        })?;
        Ok(spec)
    }

    /// [`check_options`](Self::check_options) with the place in the file.
    pub(super) fn check(&self) -> std::result::Result<(), Problem> {
        let problem = match self.check_options() {
            Ok(()) => return Ok(()),
            Err(Error::Option { option, given, expected }) => {
                Problem::new(format!("given {given}, expected {expected}")).within(option)
            }
            Err(error) => Problem::new(error.to_string()),
        };
        Err(problem.within("options"))
    }
}

fn unknown(name: &str) -> Problem {
    // Without the module that it has in Python, `nn.L1Loss`.
    let own = name.rsplit('.').next().unwrap_or(name);
    let text = match nearest(own, LossSpec::NAMES, SYNONYMS) {
        Some(near) => format!("`{name}` is no loss, did you mean `{near}`?"),
        None => format!("`{name}` is no loss, expected one of {}", LossSpec::NAMES.join(", ")),
    };
    Problem::new(text).within("loss")
}
