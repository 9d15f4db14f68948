//! Losses of numbers, masks, classes and sequences: `scripts/bench/torch_nn.py` and `everyday.py` have the originals.
//! Those of `torch.nn` are beside tch's own functions where there are such.

use std::collections::HashMap;

use anyhow::{Context, Result};
use serde_json::{json, Value};
use tch::{nn, no_grad, Cuda, Device, Tensor};
use tch_losses::manager::Objective;
use tch_losses::{
    AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss, BceLoss, BceWithLogitsLoss, CosineEmbeddingLoss,
    CrossEntropyLoss, CtcLoss, GaussianNllLoss, HingeEmbeddingLoss, HuberLoss, KlDivLoss, L1Loss,
    LinearCrossEntropyConfig, LinearCrossEntropyLoss, Loss, MarginRankingLoss,
    MaskedSoftTargetCrossEntropyLoss, MseLoss, MultiLabelMarginLoss, MultiLabelSoftMarginLoss,
    MultiMarginLoss, NegativeBinomialNllLoss, NllLoss, PoissonNllLoss, QuantileHuberLoss, RnntLoss,
    SequenceLoss, SmoothL1Loss, SoftMarginLoss, TernaryLoss, TripletMarginLoss,
    TripletMarginWithDistanceLoss,
};

use crate::clock::{alternate, median, Call};
use crate::Setup;

type Forward = Box<dyn Fn(&Tensor) -> Result<Tensor>>;

const MEAN: tch::Reduction = tch::Reduction::Mean;

pub struct OnNumbers {
    input: Tensor,
    ours: Forward,
    /// The same by a call of tch.
    plain: Option<Forward>,
    device: Device,
}

impl OnNumbers {
    /// The work is `nn/` and PyTorch's name, or another family and a loss of the catalogue, whose options are in the
    /// objective. The file of images has the arguments and parameters.
    pub fn new(setup: &Setup, device: Device) -> Result<OnNumbers> {
        let (family, name) = setup.work.split_once('/').context("no family")?;
        // Behind the loss's name may be whose dialect it is.
        let name = name.split(' ').next().unwrap_or(name);
        let path = &setup.images;
        let tensors: HashMap<String, Tensor> = Tensor::read_safetensors(path)?
            .into_iter()
            .map(|(name, tensor)| (name, tensor.to_device(device)))
            .collect();
        let find = |name: &str| -> Result<Tensor> {
            Ok(tensors.get(name).with_context(|| format!("no {name} in {path}"))?.shallow_clone())
        };
        let two = |loss: Box<dyn Loss>| -> Result<Forward> {
            let target = find("second")?;
            Ok(Box::new(move |input| Ok(loss.try_forward(input, &target)?)))
        };
        let three = |loss: Box<dyn TernaryLoss>| -> Result<Forward> {
            let (second, third) = (find("second")?, find("third")?);
            Ok(Box::new(move |input| Ok(loss.try_forward(input, &second, &third)?)))
        };
        let of_sequences = |loss: Box<dyn SequenceLoss>| -> Result<Forward> {
            let lengths = |name: &str| -> Result<Vec<i64>> { Ok(Vec::try_from(find(name)?)?) };
            let (target, frames, labels) = (find("second")?, lengths("frames")?, lengths("labels")?);
            Ok(Box::new(move |input| Ok(loss.try_forward(input, &target, &frames, &labels)?)))
        };
        let store = nn::VarStore::new(device);
        let with_parameters = || -> Result<()> {
            for (name, mut parameter) in store.variables() {
                no_grad(|| parameter.f_copy_(&find(&name)?).map_err(anyhow::Error::from))?;
            }
            Ok(())
        };
        let ours: Forward = match name {
            "L1Loss" => two(Box::<L1Loss>::default())?,
            "MSELoss" => two(Box::<MseLoss>::default())?,
            "SmoothL1Loss" => two(Box::<SmoothL1Loss>::default())?,
            "HuberLoss" => two(Box::<HuberLoss>::default())?,
            "BCELoss" => two(Box::<BceLoss>::default())?,
            "BCEWithLogitsLoss" => two(Box::<BceWithLogitsLoss>::default())?,
            "CrossEntropyLoss" => two(Box::<CrossEntropyLoss>::default())?,
            "NLLLoss" => two(Box::<NllLoss>::default())?,
            "KLDivLoss" => two(Box::<KlDivLoss>::default())?,
            "PoissonNLLLoss" => two(Box::<PoissonNllLoss>::default())?,
            "HingeEmbeddingLoss" => two(Box::<HingeEmbeddingLoss>::default())?,
            "SoftMarginLoss" => two(Box::<SoftMarginLoss>::default())?,
            "MultiLabelMarginLoss" => two(Box::<MultiLabelMarginLoss>::default())?,
            "MultiMarginLoss" => two(Box::<MultiMarginLoss>::default())?,
            "MultiLabelSoftMarginLoss" => two(Box::<MultiLabelSoftMarginLoss>::default())?,
            "GaussianNLLLoss" => {
                let (target, var) = (find("second")?, find("third")?);
                Box::new(move |input| Ok(GaussianNllLoss::default().try_forward(input, &target, &var)?))
            }
            "MarginRankingLoss" => three(Box::<MarginRankingLoss>::default())?,
            "CosineEmbeddingLoss" => three(Box::<CosineEmbeddingLoss>::default())?,
            "TripletMarginLoss" => three(Box::<TripletMarginLoss>::default())?,
            "TripletMarginWithDistanceLoss" => three(Box::<TripletMarginWithDistanceLoss>::default())?,
            "LinearCrossEntropyLoss" => {
                let [classes, features] = find("linear.weight")?.size()[..] else { unreachable!() };
                let config = LinearCrossEntropyConfig::new(features, classes);
                let loss = LinearCrossEntropyLoss::new(&store.root(), config)?;
                with_parameters()?;
                two(Box::new(loss))?
            }
            "AdaptiveLogSoftmaxWithLoss" => {
                let (cutoffs, features) = (Vec::<i64>::try_from(find("cutoffs")?)?, find("input")?.size()[1]);
                let (classes, cutoffs) = cutoffs.split_last().context("no cutoffs")?;
                let config = AdaptiveLogSoftmaxConfig::new(features, *classes, cutoffs);
                let loss = AdaptiveLogSoftmaxWithLoss::new(&store.root(), config)?;
                with_parameters()?;
                let target = find("second")?;
                Box::new(move |input| Ok(loss.try_forward(input, &target)?.loss))
            }
            "CTCLoss" => of_sequences(Box::<CtcLoss>::default())?,
            "RnntLoss" => of_sequences(Box::<RnntLoss>::default())?,
            "MaskedSoftTargetCrossEntropyLoss" => three(Box::<MaskedSoftTargetCrossEntropyLoss>::default())?,
            "NegativeBinomialNllLoss" => three(Box::<NegativeBinomialNllLoss>::default())?,
            "QuantileHuberLoss" => three(Box::<QuantileHuberLoss>::default())?,
            _ if family == "nn" => anyhow::bail!("unknown loss {name}"),
            _ => {
                let manager = Objective::from_json(&setup.objective)?.build_in(&store.root())?;
                let target = find("second")?;
                Box::new(move |input| {
                    // Without the manager, which remembers values.
                    let (_, loss) = manager.losses(&[]).remove(0);
                    Ok(loss.try_forward(input, &target)?)
                })
            }
        };
        let plain = plain(name, &find)?;
        Ok(OnNumbers { input: find("input")?, ours, plain, device })
    }

    /// Forward, and backward to the input.
    pub fn step(&self) -> Result<(Tensor, Tensor)> {
        let input = self.input.detach().set_requires_grad(true);
        let loss = (self.ours)(&input)?;
        loss.backward();
        Ok((loss.detach(), input.grad()))
    }

    /// The seconds that a step takes, that forward alone takes without gradients, and how much longer that is than
    /// tch's function.
    pub fn seconds(&self, turn: f64) -> Result<Value> {
        let synchronized = |act: &dyn Fn() -> Result<()>| -> Result<()> {
            act()?;
            if let Device::Cuda(index) = self.device {
                Cuda::synchronize(index as i64);
            }
            Ok(())
        };
        let step: Call = Box::new(|| synchronized(&|| self.step().map(drop)));
        let taken = alternate(&[step], turn / 2.0)?.remove(0);
        let calls: Vec<Call> = [Some(&self.ours), self.plain.as_ref()]
            .into_iter()
            .flatten()
            .map(|forward| -> Call {
                Box::new(|| synchronized(&|| no_grad(|| forward(&self.input)).map(drop)))
            })
            .collect();
        let mut forward = alternate(&calls, turn / 2.0)?.into_iter();
        let (ours, plain) = (forward.next().context("no batch")?, forward.next());
        let over =
            plain.map(|plain| median(ours.iter().zip(plain).map(|(ours, plain)| ours - plain).collect()));
        Ok(json!({"seconds": median(taken), "forward": median(ours), "over": over}))
    }
}

/// tch's function of a loss, where there is one.
fn plain(name: &str, find: &dyn Fn(&str) -> Result<Tensor>) -> Result<Option<Forward>> {
    let two = |call: fn(&Tensor, &Tensor) -> Result<Tensor, tch::TchError>| -> Result<Option<Forward>> {
        let target = find("second")?;
        Ok(Some(Box::new(move |input| Ok(call(input, &target)?))))
    };
    let three =
        |call: fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor, tch::TchError>| -> Result<Option<Forward>> {
            let (second, third) = (find("second")?, find("third")?);
            Ok(Some(Box::new(move |input| Ok(call(input, &second, &third)?))))
        };
    match name {
        "L1Loss" => two(|x, y| x.f_l1_loss(y, MEAN)),
        "MSELoss" => two(|x, y| x.f_mse_loss(y, MEAN)),
        "SmoothL1Loss" => two(|x, y| x.f_smooth_l1_loss(y, MEAN, 1.0)),
        "HuberLoss" => two(|x, y| x.f_huber_loss(y, MEAN, 1.0)),
        "BCELoss" => two(|x, y| x.f_binary_cross_entropy(y, None::<&Tensor>, MEAN)),
        "BCEWithLogitsLoss" => {
            two(|x, y| x.f_binary_cross_entropy_with_logits(y, None::<&Tensor>, None::<&Tensor>, MEAN))
        }
        "CrossEntropyLoss" => two(|x, y| x.f_cross_entropy_loss(y, None::<&Tensor>, MEAN, -100, 0.0)),
        "NLLLoss" => two(|x, y| x.f_nll_loss(y, None::<&Tensor>, MEAN, -100)),
        "KLDivLoss" => two(|x, y| x.f_kl_div(y, MEAN, false)),
        "PoissonNLLLoss" => two(|x, y| x.f_poisson_nll_loss(y, true, false, 1e-8, MEAN)),
        "HingeEmbeddingLoss" => two(|x, y| x.f_hinge_embedding_loss(y, 1.0, MEAN)),
        "SoftMarginLoss" => two(|x, y| x.f_soft_margin_loss(y, MEAN)),
        "MultiLabelMarginLoss" => two(|x, y| x.f_multilabel_margin_loss(y, MEAN)),
        "MarginRankingLoss" => three(|x, y, z| Tensor::f_margin_ranking_loss(x, y, z, 0.0, MEAN)),
        "CosineEmbeddingLoss" => three(|x, y, z| Tensor::f_cosine_embedding_loss(x, y, z, 0.0, MEAN)),
        "TripletMarginLoss" => {
            three(|x, y, z| Tensor::f_triplet_margin_loss(x, y, z, 1.0, 2.0, 1e-6, false, MEAN))
        }
        "CTCLoss" => {
            let [frames, labels, target] = ["frames", "labels", "second"].map(find);
            let (frames, labels) = (Vec::<i64>::try_from(frames?)?, Vec::<i64>::try_from(labels?)?);
            let target = target?;
            Ok(Some(Box::new(move |input| {
                Ok(Tensor::f_ctc_loss(input, &target, frames.as_slice(), labels.as_slice(), 0, MEAN, false)?)
            })))
        }
        _ => Ok(None),
    }
}
