//! A weighted sum of losses.

use tch::Tensor;

use super::check;
use crate::{Error, Loss, Result};

/// A weighted sum of losses of the same two tensors, which is a loss itself.
///
/// ```text
/// loss = Σ weight * loss(input, target)
/// ```
///
/// A [`LossManager`](crate::manager::LossManager) adds names, schedules, a history and logs.
///
/// - **Shapes**: what every term accepts. The terms' losses must have one shape.
/// - **Maps**: the weighted sum of the terms' maps, where every term has one.
/// - **Errors**: no terms; a weight that is not finite; losses of different shapes; whatever a term returns.
///
/// ```
/// use tch::Tensor;
/// use tch_losses::{L1Loss, Loss, MseLoss, WeightedSum};
///
/// let sum = WeightedSum::new().with(10.0, L1Loss::default()).with(0.5, MseLoss::default());
/// let (input, target) = (Tensor::from_slice(&[1.0, 2.0]), Tensor::from_slice(&[1.0, 4.0]));
/// assert_eq!(sum.forward(&input, &target).double_value(&[]), 10.0 * 1.0 + 0.5 * 2.0);
/// ```
#[derive(Debug, Default)]
pub struct WeightedSum {
    terms: Vec<(f64, Box<dyn Loss + Send>)>,
}

impl WeightedSum {
    /// A sum without terms.
    pub fn new() -> WeightedSum {
        WeightedSum::default()
    }

    /// Adds a term.
    #[must_use]
    pub fn with(mut self, weight: f64, loss: impl Loss + Send + 'static) -> WeightedSum {
        self.terms.push((weight, Box::new(loss)));
        self
    }
}

impl Loss for WeightedSum {
    fn check_options(&self) -> Result<()> {
        if self.terms.is_empty() {
            let (given, expected) = ("empty".into(), "at least one loss".into());
            return Err(Error::Option { option: "terms", given, expected });
        }
        self.terms.iter().try_for_each(|(weight, loss)| {
            check::finite("weight", *weight)?;
            loss.check_options()
        })
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.check_options()?;
        let terms = self
            .terms
            .iter()
            .map(|(weight, loss)| Ok(loss.try_forward(input, target)?.f_mul_scalar(*weight)?));
        sum(terms)
    }

    fn loss_map(&self, input: &Tensor, target: &Tensor) -> Result<Option<Tensor>> {
        self.check_options()?;
        let mut maps = Vec::new();
        for (weight, loss) in &self.terms {
            let Some(map) = loss.loss_map(input, target)? else { return Ok(None) };
            maps.push(Ok(map.f_mul_scalar(*weight)?));
        }
        sum(maps.into_iter()).map(Some)
    }
}

fn sum(mut terms: impl Iterator<Item = Result<Tensor>>) -> Result<Tensor> {
    let first = terms.next().expect("check_options refuses a sum without terms")?;
    terms.try_fold(first, |sum, term| {
        let term = term?;
        if term.size() != sum.size() {
            let expected = format!("{:?}, the shape of the terms before", sum.size());
            return Err(Error::Shape { argument: "loss", given: term.size(), expected });
        }
        Ok(sum.f_add(&term)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{L1Loss, MarginRankingLoss, MseLoss, NllLoss, Reduction, Sobel, TernaryLoss};
    use tch::{Device, Kind};

    fn images() -> (Tensor, Tensor) {
        tch::manual_seed(0);
        let image = || Tensor::rand([2, 3, 5, 4], (Kind::Double, Device::Cpu));
        (image(), image())
    }

    #[test]
    fn its_map_has_the_sum_as_mean() {
        let (input, target) = images();
        let sum = WeightedSum::new().with(2.0, L1Loss::default()).with(-0.5, Sobel::default());
        let map = sum.loss_map(&input, &target).unwrap().unwrap();
        let difference = map.mean(None) - sum.forward(&input, &target);
        // Some hundred numbers below 4, added up in f64.
        assert!(difference.abs().double_value(&[]) < 1e-12);
        let without = WeightedSum::new().with(1.0, L1Loss::default()).with(1.0, NllLoss::default());
        assert!(without.loss_map(&input, &target).unwrap().is_none());
    }

    #[test]
    fn what_is_no_sum() {
        let (input, target) = images();
        let message = |sum: WeightedSum| sum.try_forward(&input, &target).unwrap_err().to_string();
        assert_eq!(message(WeightedSum::new()), "option `terms` is empty, expected at least one loss");
        let message_of_nan = message(WeightedSum::new().with(f64::NAN, L1Loss::default()));
        assert_eq!(message_of_nan, "option `weight` is NaN, expected a finite number");
        let shapes = WeightedSum::new()
            .with(1.0, L1Loss::default())
            .with(1.0, MseLoss::default().with_reduction(Reduction::None));
        let expected = "`loss` has shape [2, 3, 5, 4], expected [], the shape of the terms before";
        assert_eq!(message(shapes), expected);
    }

    /// Whatever points to a loss is one, with all that the loss can do.
    #[test]
    #[allow(clippy::needless_borrows_for_generic_args)] // a reference is one of them
    fn pointers_are_losses() {
        fn value(loss: impl Loss, input: &Tensor, target: &Tensor) -> (Tensor, bool, bool) {
            let map = loss.loss_map(input, target).unwrap().is_some();
            (loss.forward(input, target), map, loss.response(input).unwrap().is_some())
        }
        let (input, target) = images();
        let sobel = Sobel::default();
        let expected = (sobel.forward(&input, &target), true, true);
        assert_eq!(value(&sobel, &input, &target), expected);
        assert_eq!(value(Box::new(sobel), &input, &target), expected);
        assert_eq!(value(std::sync::Arc::new(sobel), &input, &target), expected);
        let boxed: Box<dyn Loss> = Box::new(sobel);
        assert_eq!(value(&*boxed, &input, &target), expected);
        assert_eq!(value(boxed, &input, &target), expected);
        assert!(Loss::check_options(&&Sobel { eps: -1.0, ..sobel }).is_err());
        let ternary: Box<dyn TernaryLoss> =
            Box::new(MarginRankingLoss { margin: f64::NAN, ..Default::default() });
        assert!(TernaryLoss::check_options(&ternary).is_err());
    }
}
