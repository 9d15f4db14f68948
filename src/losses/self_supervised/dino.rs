//! [`DinoLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, no_grad, Kind, Tensor};

use crate::base::average::average_kind;
use crate::base::gradient::{is_tracked, numbers_at_once, pieces, with_gradient};
use crate::base::heap::keep_freed_blocks;
use crate::base::precision::accumulation_kind;
use crate::base::tensor::scalar;
use crate::base::{check, setters};
use crate::{Error, Loss, Result};

/// The options of a [`DinoLoss`]. The defaults are lightly's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DinoConfig {
    /// The number of outputs of the networks: the last axis of `student` and `teacher`.
    pub output_dim: i64,
    /// What the student's outputs are divided by.
    pub student_temp: f64,
    /// What the teacher's centred outputs are divided by.
    pub teacher_temp: f64,
    /// The same in the first epoch. It then moves to `teacher_temp` in equal steps.
    pub warmup_teacher_temp: f64,
    /// The number of epochs that it moves in.
    pub warmup_teacher_temp_epochs: i64,
    /// How much of the centre an update keeps.
    pub center_momentum: f64,
}

impl Default for DinoConfig {
    fn default() -> Self {
        DinoConfig {
            output_dim: 65536,
            student_temp: 0.1,
            teacher_temp: 0.04,
            warmup_teacher_temp: 0.04,
            warmup_teacher_temp_epochs: 30,
            center_momentum: 0.9,
        }
    }
}

setters!(DinoConfig {
    with_output_dim(output_dim: i64), with_student_temp(student_temp: f64), with_teacher_temp(teacher_temp: f64),
    with_warmup_teacher_temp(warmup_teacher_temp: f64),
    with_warmup_teacher_temp_epochs(warmup_teacher_temp_epochs: i64), with_center_momentum(center_momentum: f64)
});

impl DinoConfig {
    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range.
    pub fn check(&self) -> Result<()> {
        check::at_least_1("output_dim", self.output_dim)?;
        check::positive("student_temp", self.student_temp)?;
        check::positive("teacher_temp", self.teacher_temp)?;
        check::positive("warmup_teacher_temp", self.warmup_teacher_temp)?;
        check::between("warmup_teacher_temp_epochs", self.warmup_teacher_temp_epochs, 0, i64::MAX)?;
        check::fraction("center_momentum", self.center_momentum)
    }
}

/// DINO: for each view of an image, the student's probabilities are to be those of the teacher for the other views.
///
/// ```text
/// t[i]    = softmax((teacher[i] - center) / temperature)    of each view i of the teacher
/// s[j]    = log softmax(student[j] / student_temp)          of each view j of the student
/// loss    = mean over the images and over all i ≠ j of -Σ t[i] · s[j]
/// then    center ← center_momentum · center + (1 - center_momentum) · mean(teacher)
/// ```
///
/// The views that the teacher sees, usually the two large crops, are the first ones of the student. The temperature of the
/// teacher moves from `warmup_teacher_temp` in epoch 0 to `teacher_temp` in epoch `warmup_teacher_temp_epochs` - 1, and
/// stays there. Tell the loss of each new epoch with [`set_epoch`](Self::set_epoch): without that, it stays in epoch 0. lightly
/// without an `epoch` has `teacher_temp` throughout; that is `with_warmup_teacher_temp_epochs(0)`.
///
/// Each call of `forward` or `try_forward` moves the centre, also within [`no_grad`]. [`value`](Self::value) has the value
/// without that: for an evaluation, or for several parts of a batch after one [`update_center`](Self::update_center).
///
/// - **Shapes**: `student` `[S, B, output_dim]` and `teacher` `[T, B, output_dim]`: S and T views of B images, nothing
///   empty, and not one view on both sides. The loss is a scalar. It is a mean over pairs of views, so it has no reduction.
///   The outputs of several crops in one batch, as DINO has them, are reshaped: `outputs.view([views, -1, output_dim])`.
/// - **Values**: any. f16 and bf16 are computed in f32. A mean that is not finite stays in the centre.
/// - **Gradients**: to `student`; `teacher` is a constant. Forward computes the gradient, and second derivatives come out as
///   zero.
/// - **State**: `center` `[1, 1, output_dim]` and `epoch` in the variable store, not trainable: they are saved and loaded
///   with it. `center` has the name and the shape of lightly's, which has no `epoch`: load its state with
///   `VarStore::load_partial`, then call `set_epoch`. It is f64 in a store of f64, otherwise f32.
/// - **Defaults**: those of [`DinoConfig`]: `output_dim` 65536, `student_temp` 0.1, `teacher_temp` and
///   `warmup_teacher_temp` 0.04, `warmup_teacher_temp_epochs` 30, `center_momentum` 0.9.
/// - **Errors**: arguments of other shapes, of different kinds or devices; on another device than the centre.
///
/// In an objective's file, [`Objective::build_in`](crate::manager::Objective::build_in) takes the variable store. Of a loss
/// called `DINO`, the variable `DINO.epoch` is the epoch: fill it with the number.
///
/// Source: [`DINOLoss` of lightly](https://docs.lightly.ai/self-supervised-learning/lightly.loss.html), with the arguments
/// in the order of [DINO's own](https://github.com/facebookresearch/dino/blob/main/main_dino.py); M. Caron et al.,
/// [*Emerging properties in self-supervised vision transformers*](https://arxiv.org/abs/2104.14294) (2021).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{DinoConfig, DinoLoss, Loss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// let config = DinoConfig::default().with_output_dim(32).with_teacher_temp(0.07);
/// let dino = DinoLoss::new(&vs.root(), config)?;
/// for epoch in 0..2 {
///     dino.set_epoch(epoch)?;
///     // Of eight crops of each of four images by the student, of which the teacher sees the first two.
///     let student = Tensor::rand([8 * 4, 32], (Kind::Float, Device::Cpu)).set_requires_grad(true);
///     let teacher = Tensor::rand([2 * 4, 32], (Kind::Float, Device::Cpu));
///     dino.forward(&student.view([8, 4, 32]), &teacher.view([2, 4, 32])).backward();
/// }
/// assert!(vs.variables().contains_key("center")); // so `vs.save` saves it
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[doc(alias = "DINOLoss")]
#[derive(Debug)]
pub struct DinoLoss {
    center: Tensor,
    epoch: Tensor,
    config: DinoConfig,
}

impl DinoLoss {
    /// A loss whose centre and epoch are in a variable store. Both start at 0.
    ///
    /// # Errors
    /// Options out of their range; a centre that does not fit into memory.
    pub fn new(vs: &nn::Path, config: DinoConfig) -> Result<DinoLoss> {
        config.check()?;
        let kind = average_kind(vs.kind());
        let center = Tensor::f_zeros([1, 1, config.output_dim].as_slice(), (kind, vs.device()))?;
        let epoch = Tensor::f_zeros([0i64; 0].as_slice(), (Kind::Int64, vs.device()))?;
        Ok(DinoLoss { center: vs.add("center", center, false), epoch: vs.add("epoch", epoch, false), config })
    }

    /// A copy of the centre, `[1, 1, output_dim]`.
    pub fn center(&self) -> Tensor {
        self.center.copy()
    }

    /// Starts an epoch. The first one is 0. It decides on the teacher's temperature.
    ///
    /// # Errors
    /// A negative epoch.
    pub fn set_epoch(&self, epoch: i64) -> Result<()> {
        check::between("epoch", epoch, 0, i64::MAX)?;
        let _ = self.epoch.f_detach()?.f_fill_(epoch)?;
        Ok(())
    }

    /// Moves the centre.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn update_center(&self, teacher: &Tensor) -> Result<()> {
        self.check_views("teacher", teacher)?;
        let outputs = teacher.f_detach()?.f_to_kind(accumulation_kind(teacher.kind()))?;
        let mean = outputs.f_mean_dim([0i64, 1].as_slice(), true, None)?.f_to_kind(self.center.kind())?;
        let momentum = self.config.center_momentum;
        let next = self.center.f_mul_scalar(momentum)?.f_add(&mean.f_mul_scalar(1.0 - momentum)?)?;
        Ok(self.center.f_detach()?.f_copy_(&next)?)
    }

    /// The value with the centre as it is.
    ///
    /// # Errors
    /// As [`try_forward`](Loss::try_forward).
    pub fn value(&self, student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        self.check_arguments(student, teacher)?;
        let kind = accumulation_kind(student.kind());
        let wide = student.f_to_kind(kind)?;
        let detached = wide.f_detach()?;
        let tracked = is_tracked(&wide)?;
        let (sum, gradient) = no_grad(|| self.sum_and_gradient(&detached, &teacher.f_detach()?, tracked))?;
        let mean = 1.0 / (self.pairs(student, teacher) * student.size()[1]) as f64;
        let value = sum.f_mul_scalar(mean)?;
        let value = match gradient {
            Some(gradient) => with_gradient(&value, &wide, &gradient, mean / self.config.student_temp)?,
            None => value,
        };
        Ok(value.f_to_kind(student.kind())?)
    }

    /// The number of pairs of different views.
    fn pairs(&self, student: &Tensor, teacher: &Tensor) -> i64 {
        let (students, teachers) = (student.size()[0], teacher.size()[0]);
        students * teachers - students.min(teachers)
    }

    /// What the teacher's outputs are divided by: a scalar on the device, so that the host does not wait for the epoch.
    fn temperature(&self) -> Result<Tensor> {
        let DinoConfig {
            teacher_temp: last,
            warmup_teacher_temp: first,
            warmup_teacher_temp_epochs: epochs,
            ..
        } = self.config;
        // Without a warm-up, the first epoch has the last temperature.
        let (start, steps) = if epochs == 0 { (last, 1) } else { (first, (epochs - 1).max(1)) };
        let progress = self.epoch.f_to_kind(Kind::Double)?.f_div_scalar(steps as f64)?.f_clamp(0.0, 1.0)?;
        Ok(progress.f_mul_scalar(last - start)?.f_add_scalar(start)?)
    }

    /// The sum over all pairs of different views and the batch. If it is wanted, `student_temp` times the gradient with
    /// respect to `student`. A few images at a time: their views stay in the cache.
    fn sum_and_gradient(
        &self,
        student: &Tensor,
        teacher: &Tensor,
        wanted: bool,
    ) -> Result<(Tensor, Option<Tensor>)> {
        let (kind, device) = (student.kind(), student.device());
        let (size, teachers) = (student.size(), teacher.size()[0]);
        let (students, images, outputs) = (size[0], size[1], size[2]);
        let (center, temperature) = (self.center.f_to_kind(kind)?, self.temperature()?);
        keep_freed_blocks();
        let sharpness = 1.0 / self.config.student_temp;
        let factor = scalar(sharpness, student)?;
        // Each target is a distribution: together they have the weight of their number, which is one less for a view that
        // the teacher sees.
        let weights = [scalar(teachers as f64, student)?, scalar((teachers - 1) as f64, student)?];
        let gradient = wanted.then(|| Tensor::f_empty(&size, (kind, device))).transpose()?;
        let mut sums = Vec::new();
        for (start, length) in pieces(images, numbers_at_once(device, (teachers + 2) * outputs)) {
            let part = |tensor: &Tensor| tensor.f_narrow(1, start, length);
            let mut sharpened = part(teacher)?.f_to_kind(kind)?.f_sub(&center)?;
            let negative = sharpened.f_div_(&temperature)?.f_softmax(-1, None)?.f_neg_()?;
            let all = negative.f_sum_dim_intlist([0i64].as_slice(), false, None)?;
            for view in 0..students {
                let own = (view < teachers).then(|| negative.f_select(0, view)).transpose()?;
                let others = own.as_ref().map(|own| all.f_sub(own)).transpose()?;
                let (target, weight) =
                    (others.as_ref().unwrap_or(&all), &weights[usize::from(own.is_some())]);
                let scores = part(student)?.f_select(0, view)?;
                // What each score is below the largest. The logarithm of a share is that number, and the logarithm of the
                // largest share.
                let largest = scores.f_amax([-1i64].as_slice(), true)?.f_mul_scalar_(-sharpness)?;
                let below = largest.f_addcmul(&scores, &factor)?;
                let shares = below.f_softmax(-1, None)?;
                let logarithms = shares.f_amax([-1i64].as_slice(), false)?.f_log_()?;
                let products = { below }.f_mul_(target)?.f_sum(None)?;
                sums.push(products.f_sub(&logarithms.f_sum(None)?.f_mul_(weight)?)?);
                if let Some(gradient) = &gradient {
                    let _ = target.f_addcmul_out(&part(gradient)?.f_select(0, view)?, &shares, weight)?;
                }
            }
        }
        Ok((Tensor::f_stack(&sums, 0)?.f_sum(None)?, gradient))
    }

    fn check_arguments(&self, student: &Tensor, teacher: &Tensor) -> Result<()> {
        self.check_views("student", student)?;
        check::partners(("student", student), ("teacher", teacher))?;
        self.check_views("teacher", teacher)?;
        let (size, given) = (student.size(), teacher.size());
        let argument = "teacher";
        if given[1] != size[1] {
            let expected = format!("[T, {}, {}], outputs for the images of `student`", size[1], size[2]);
            return Err(Error::Shape { argument, given, expected });
        }
        if self.pairs(student, teacher) == 0 {
            let expected = "several views, or several of `student`".into();
            return Err(Error::Shape { argument, given, expected });
        }
        Ok(())
    }

    fn check_views(&self, argument: &'static str, views: &Tensor) -> Result<()> {
        check::floating(argument, views)?;
        check::same_device(("center", &self.center), (argument, views))?;
        let (given, outputs) = (views.size(), self.config.output_dim);
        if given.len() != 3 || given.contains(&0) || given[2] != outputs {
            let expected = format!("[views, B, {outputs}] with nothing empty");
            return Err(Error::Shape { argument, given, expected });
        }
        Ok(())
    }
}

/// Of the student's and of the teacher's outputs. Each call moves the centre.
impl Loss for DinoLoss {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, student: &Tensor, teacher: &Tensor) -> Result<Tensor> {
        let value = self.value(student, teacher)?;
        self.update_center(teacher)?;
        Ok(value)
    }
}
