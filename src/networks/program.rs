//! The steps from the images to the deepest tap.

use tch::Tensor;

use super::extractor::Visit;
use super::ops::{relu, BatchNorm, Convolution, Fire, Layer, Pool};
use crate::Result;

/// A network cut at the deepest tap.
///
/// A convolution takes the batch norm and the ReLU after it into its own step, unless a tap lies between
/// them.
pub(super) struct Program<'a> {
    pub steps: Vec<Step<'a>>,
}

/// One or more layers that are computed at once.
pub(super) struct Step<'a> {
    pub action: Action<'a>,
    /// The taps at its output, by their numbers in the list of taps.
    pub taps: Vec<usize>,
}

/// What a step does.
pub(super) enum Action<'a> {
    Convolution { convolution: &'a Convolution, norm: Option<&'a BatchNorm>, relu: bool },
    BatchNorm(&'a BatchNorm),
    Relu,
    Pool(Pool),
    Fire(&'a Fire),
}

impl Program<'_> {
    /// For taps at the outputs of the layers with these indices.
    pub(super) fn new<'a>(layers: &'a [Layer], taps: &[usize]) -> Program<'a> {
        let end = taps.iter().max().map_or(0, |deepest| deepest + 1);
        let mut steps = Vec::new();
        let mut next = 0;
        while next < end {
            let mut last = next;
            let action = match &layers[last] {
                Layer::Convolution(convolution) => {
                    // The layer after the last one, if no tap keeps them apart.
                    let after = |last: usize| layers[..end].get(last + 1).filter(|_| !taps.contains(&last));
                    let norm = match after(last) {
                        Some(Layer::BatchNorm(norm)) => Some(norm),
                        _ => None,
                    };
                    last += usize::from(norm.is_some());
                    let relu = matches!(after(last), Some(Layer::Relu));
                    last += usize::from(relu);
                    Action::Convolution { convolution, norm, relu }
                }
                Layer::BatchNorm(norm) => Action::BatchNorm(norm),
                Layer::Relu => Action::Relu,
                Layer::Pool(pool) => Action::Pool(*pool),
                Layer::Fire(fire) => Action::Fire(fire),
            };
            steps.push(Step { action, taps: (0..taps.len()).filter(|tap| taps[*tap] == last).collect() });
            next = last + 1;
        }
        Program { steps }
    }

    /// Applies one step after the other, and shows `visit` the features at the taps.
    pub(super) fn walk(
        &self,
        images: Tensor,
        mut apply: impl FnMut(usize, &Tensor) -> Result<Tensor>,
        visit: &mut Visit,
    ) -> Result<()> {
        let mut x = images;
        for (index, step) in self.steps.iter().enumerate() {
            x = apply(index, &x)?;
            step.taps.iter().try_for_each(|tap| visit(*tap, &x))?;
        }
        Ok(())
    }

    /// The same with libtorch's own operations, in its graph if there is one.
    pub(super) fn run_in_graph(&self, images: Tensor, visit: &mut Visit) -> Result<()> {
        let apply = |index: usize, x: &Tensor| match &self.steps[index].action {
            Action::Convolution { convolution, norm, relu } => {
                convolution.with_norm(*norm)?.in_order()?.forward(x, *relu)
            }
            Action::BatchNorm(norm) => norm.forward(x),
            Action::Relu => relu(x),
            Action::Pool(pool) => Ok(pool.forward(x)?.0),
            Action::Fire(fire) => fire.in_order()?.forward(x),
        };
        self.walk(images, apply, visit)
    }
}

#[cfg(test)]
mod tests {
    use tch::{nn, Device};

    use super::super::{Architecture, Network};
    use super::{Action, Program};

    /// The steps in words, each with its taps.
    fn steps(architecture: Architecture, taps: &[&str]) -> Vec<(String, Vec<usize>)> {
        let network = Network::new(&nn::VarStore::new(Device::Cpu).root(), &architecture);
        let taps: Vec<usize> =
            taps.iter().map(|tap| architecture.place(&(*tap).into()).unwrap().index).collect();
        let program = Program::new(network.layers(), &taps);
        let words = |action| match action {
            Action::Convolution { convolution, norm, relu } => {
                let size = convolution.weight.size();
                let norm = norm.map_or("", |_| " norm");
                format!("{}-{}{norm}{}", size[1], size[0], if relu { " relu" } else { "" })
            }
            Action::BatchNorm(_) => "norm".into(),
            Action::Relu => "relu".into(),
            Action::Pool(_) => "pool".into(),
            Action::Fire(_) => "fire".into(),
        };
        program.steps.into_iter().map(|step| (words(step.action), step.taps)).collect()
    }

    fn expected<const N: usize>(steps: [(&str, &[usize]); N]) -> Vec<(String, Vec<usize>)> {
        steps.map(|(words, taps)| (words.to_owned(), taps.to_vec())).into()
    }

    #[test]
    fn layers_are_fused_and_the_rest_is_cut_off() {
        let relu2_1 = [("3-64 relu", &[][..]), ("64-64 relu", &[]), ("pool", &[]), ("64-128 relu", &[0])];
        assert_eq!(steps(Architecture::VGG13, &["relu2_1"]), expected(relu2_1));
        let pool1 = [("3-64 norm relu", &[][..]), ("pool", &[0])];
        assert_eq!(steps(Architecture::VGG11_BN, &["pool1"]), expected(pool1));
        assert_eq!(steps(Architecture::VGG11_BN, &["bn1_1"]), expected([("3-64 norm", &[0])]));
    }

    #[test]
    fn a_tap_keeps_layers_apart() {
        let of_vgg11_bn = |taps: &[&str]| steps(Architecture::VGG11_BN, taps);
        let around = [("3-64", &[0][..]), ("norm", &[]), ("relu", &[1])];
        assert_eq!(of_vgg11_bn(&["conv1_1", "relu1_1"]), expected(around));
        // One of them twice, by two names.
        let after_norm = [("3-64 norm", &[1][..]), ("relu", &[0, 2])];
        assert_eq!(of_vgg11_bn(&["relu1_1", "bn1_1", "features.2"]), expected(after_norm));
        let fires = [("3-64 relu", &[][..]), ("pool", &[]), ("fire", &[1]), ("fire", &[0])];
        assert_eq!(steps(Architecture::SQUEEZENET1_1, &["fire3", "fire2"]), expected(fires));
        let before_pooling = [("3-64 relu", &[][..]), ("64-64", &[0]), ("relu", &[]), ("pool", &[1])];
        assert_eq!(steps(Architecture::VGG13, &["conv1_2", "pool1"]), expected(before_pooling));
    }
}
