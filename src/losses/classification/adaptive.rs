//! A soft-max over very many classes, the rare ones in clusters: [`AdaptiveLogSoftmaxWithLoss`].

use serde::{Deserialize, Serialize};
use tch::{nn, Kind, Tensor};

use super::linear_layer;
use crate::base::{check, or_panic, setters};
use crate::{Error, Loss, Result};

/// The options of an [`AdaptiveLogSoftmaxWithLoss`]. The defaults are PyTorch's.
///
/// Start from [`new`](Self::new): the numbers of features and classes and the cut-offs have no default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptiveLogSoftmaxConfig {
    /// The number of features of the input.
    pub in_features: i64,
    /// The number of classes.
    pub n_classes: i64,
    /// The first class of each cluster. A cluster ends where the next begins, the last at `n_classes`.
    pub cutoffs: Vec<i64>,
    /// The factor by which the number of features shrinks from cluster to cluster.
    pub div_value: f64,
    /// Whether the head has a bias.
    pub head_bias: bool,
}

impl Default for AdaptiveLogSoftmaxConfig {
    fn default() -> Self {
        AdaptiveLogSoftmaxConfig {
            in_features: 0,
            n_classes: 0,
            cutoffs: Vec::new(),
            div_value: 4.0,
            head_bias: false,
        }
    }
}

impl AdaptiveLogSoftmaxConfig {
    /// The options for these numbers of features and classes and these cut-offs. The others keep their
    /// defaults.
    pub fn new(in_features: i64, n_classes: i64, cutoffs: &[i64]) -> AdaptiveLogSoftmaxConfig {
        AdaptiveLogSoftmaxConfig { in_features, n_classes, cutoffs: cutoffs.into(), ..Default::default() }
    }

    /// Checks whether each option is in its range.
    ///
    /// # Errors
    /// [`Error::Option`] for the first option that is out of its range: no cut-offs, or cut-offs that do not
    /// grow within `[1, n_classes - 1]`; a `div_value` that is not positive, or leaves a cluster no feature.
    pub fn check(&self) -> Result<()> {
        check::at_least_1("in_features", self.in_features)?;
        check::at_least_1("n_classes", self.n_classes)?;
        check::positive("div_value", self.div_value)?;
        let growing = self.cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        let in_range = self.cutoffs.first() >= Some(&1) && self.cutoffs.last() < Some(&self.n_classes);
        if !growing || !in_range {
            return Err(Error::Option {
                option: "cutoffs",
                given: format!("{:?}", self.cutoffs),
                expected: format!("growing numbers from 1 to {}, one at least", self.n_classes - 1),
            });
        }
        // More features than fit into memory are a mistake as well.
        let features = 1..=i64::from(i32::MAX);
        match (0..self.cutoffs.len()).find(|cluster| !features.contains(&self.features_of(*cluster))) {
            None => Ok(()),
            Some(cluster) => Err(Error::Option {
                option: "div_value",
                given: self.div_value.to_string(),
                expected: format!("one that leaves cluster {cluster} a feature of {}", self.in_features),
            }),
        }
    }

    /// The number of features of a cluster.
    fn features_of(&self, cluster: usize) -> i64 {
        (self.in_features as f64 / self.div_value.powi(cluster as i32 + 1)).floor() as i64
    }
}

setters!(AdaptiveLogSoftmaxConfig { with_div_value(div_value: f64), with_head_bias(head_bias: bool) });

/// The result of an [`AdaptiveLogSoftmaxWithLoss`].
#[derive(Debug)]
pub struct AdaptiveLogSoftmaxOutput {
    /// The log-probability of each target, `[N]` or `[]`.
    pub output: Tensor,
    /// The mean of the negated log-probabilities, a scalar.
    pub loss: Tensor,
}

/// One cluster of rare classes: down to fewer features, then to its classes.
#[derive(Debug)]
struct Cluster {
    projection: nn::Linear,
    classes: nn::Linear,
    /// The first class.
    start: i64,
}

impl Cluster {
    /// The log-probabilities of its classes, given that it is this cluster.
    fn log_prob(&self, input: &Tensor) -> Result<Tensor> {
        let features = input.f_linear(&self.projection.ws, None::<Tensor>)?;
        Ok(features.f_linear(&self.classes.ws, None::<Tensor>)?.f_log_softmax(1, None)?)
    }
}

/// A classifier's last layer and its loss, for very many classes of very different frequency, such as words.
///
/// Adaptive soft-max approximates a linear layer with [`CrossEntropyLoss`](crate::CrossEntropyLoss).
///
/// ```text
/// head        scores the classes [0, c1) and each cluster [c1, c2), ..., [ck, n_classes)
/// tail[i]     scores the classes of cluster i, from in_features / div_value^(i+1) features
/// output[n]   = log p(target[n])                                             in the head
///               log p(its cluster) + log p(target[n], given the cluster)     in a cluster
/// loss        = -mean(output)
/// ```
///
/// Sort the classes by frequency; class 0 is the most frequent. A cluster is computed only for the rows whose
/// target is in it. [`LinearCrossEntropyLoss`](crate::LinearCrossEntropyLoss) is exact; it saves memory, but
/// no work.
///
/// The inherent `forward` returns two tensors. As a [`Loss`](crate::Loss), the type returns the second, the
/// loss.
///
/// - **Shapes**: `input` `[N, in_features]` and `target` `[N]`, or `[in_features]` and `[]`. The target has
///   kind Int64. The output has the target's shape; the loss is a scalar.
/// - **Values**: the classes in `target` are in `[0, n_classes)`. The loss of nothing is NaN.
/// - **Parameters**: `head.weight`, `head.bias`, `tail.{i}.0.weight` and `tail.{i}.1.weight` in the variable
///   store, with PyTorch's names and initial distributions.
///   [`Objective::build_in`](crate::manager::Objective::build_in) makes them from a file.
/// - **Defaults**: `div_value` 4, no `head_bias`.
/// - **Errors**: other shapes; an input of another kind or on another device than the parameters; classes
///   outside `[0, n_classes)`.
///
/// On CUDA, `forward` waits for the device once, to read how many rows each cluster has. (PyTorch waits
/// several times per cluster.)
///
/// Source:
/// [`torch.nn.AdaptiveLogSoftmaxWithLoss`](https://pytorch.org/docs/stable/generated/torch.nn.AdaptiveLogSoftmaxWithLoss.html);
/// E. Grave et al., [*Efficient softmax approximation for GPUs*](https://arxiv.org/abs/1609.04309) (2016).
///
/// ```
/// use tch::{nn, Device, Kind, Tensor};
/// use tch_losses::{AdaptiveLogSoftmaxConfig, AdaptiveLogSoftmaxWithLoss};
///
/// let vs = nn::VarStore::new(Device::Cpu);
/// // 1000 words: the 50 most frequent in the head, then two clusters.
/// let config = AdaptiveLogSoftmaxConfig::new(64, 1000, &[50, 200]);
/// let softmax = AdaptiveLogSoftmaxWithLoss::new(&vs.root(), config)?;
/// let hidden = Tensor::rand([8, 64], (Kind::Float, Device::Cpu));
/// let words = Tensor::from_slice(&[0i64, 3, 49, 50, 120, 199, 200, 999]);
/// let result = softmax.forward(&hidden, &words);
/// assert_eq!(result.output.size(), [8]);
/// result.loss.backward();
///
/// // Of all words: what their probabilities are, and the likeliest.
/// assert_eq!(softmax.log_prob(&hidden)?.size(), [8, 1000]);
/// assert_eq!(softmax.predict(&hidden)?.size(), [8]);
/// # Ok::<(), tch_losses::Error>(())
/// ```
#[derive(Debug)]
pub struct AdaptiveLogSoftmaxWithLoss {
    head: nn::Linear,
    tail: Vec<Cluster>,
    config: AdaptiveLogSoftmaxConfig,
}

impl AdaptiveLogSoftmaxWithLoss {
    /// A loss with new parameters in a variable store, random as PyTorch's.
    ///
    /// # Errors
    /// As [`AdaptiveLogSoftmaxConfig::check`].
    ///
    /// # Panics
    /// When memory runs out or the store's kind is not floating, as tch's own layers do.
    pub fn new(vs: &nn::Path, config: AdaptiveLogSoftmaxConfig) -> Result<AdaptiveLogSoftmaxWithLoss> {
        config.check()?;
        let AdaptiveLogSoftmaxConfig { in_features, n_classes, cutoffs, head_bias, .. } = &config;
        let head_size = cutoffs[0] + cutoffs.len() as i64;
        let head = linear_layer(&(vs / "head"), *in_features, head_size, *head_bias);
        let ends = cutoffs.iter().skip(1).chain([n_classes]);
        let tail = cutoffs.iter().zip(ends).enumerate().map(|(index, (&start, end))| {
            let (vs, features) = (vs / "tail" / index, config.features_of(index));
            Cluster {
                projection: linear_layer(&(&vs / 0), *in_features, features, false),
                classes: linear_layer(&(&vs / 1), features, end - start, false),
                start,
            }
        });
        Ok(AdaptiveLogSoftmaxWithLoss { head, tail: tail.collect(), config })
    }

    /// The log-probabilities of the targets, and their mean as a loss.
    ///
    /// # Errors
    /// An argument that the loss does not accept gives the [`Error`] that names it.
    pub fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<AdaptiveLogSoftmaxOutput> {
        self.check_input(input)?;
        check::dense("target", target)?;
        let given = target.f_kind()?;
        if given != Kind::Int64 {
            return Err(Error::Kind { argument: "target", given, expected: "Int64, classes".into() });
        }
        check::same_device(("input", input), ("target", target))?;
        let (shape, features) = (input.size(), self.head.ws.size()[1]);
        if target.size() != shape[..shape.len() - 1] {
            let expected = format!("{:?}, a class for each row of `input`", &shape[..shape.len() - 1]);
            return Err(Error::Shape { argument: "target", given: target.size(), expected });
        }
        let output = self.of_rows(&input.f_reshape([-1, features])?, &target.f_reshape([-1])?)?;
        let loss = output.f_neg()?.f_mean(None)?;
        Ok(AdaptiveLogSoftmaxOutput { output: output.f_reshape(target.size())?, loss })
    }

    /// The log-probabilities of the targets, and their mean as a loss.
    ///
    /// # Panics
    /// Where [`try_forward`](Self::try_forward) returns an error, with the error's message.
    #[track_caller]
    pub fn forward(&self, input: &Tensor, target: &Tensor) -> AdaptiveLogSoftmaxOutput {
        or_panic(self.try_forward(input, target))
    }

    /// The log-probabilities `[N, n_classes]` of all classes, for an input `[N, in_features]`.
    ///
    /// # Errors
    /// An input of another shape, kind or device.
    pub fn log_prob(&self, input: &Tensor) -> Result<Tensor> {
        self.check_batch(input)?;
        let head = self.head_log_prob(input)?;
        let mut parts = vec![head.f_narrow(1, 0, self.shortlist())?];
        for (index, cluster) in self.tail.iter().enumerate() {
            let of_cluster = head.f_narrow(1, self.shortlist() + index as i64, 1)?;
            parts.push(cluster.log_prob(input)?.f_add(&of_cluster)?);
        }
        Ok(Tensor::f_cat(&parts, 1)?)
    }

    /// The likeliest class of each row, `[N]` of kind Int64, for an input `[N, in_features]`.
    ///
    /// It is the class with the greatest [`log_prob`](Self::log_prob). The search goes cluster by cluster and
    /// takes less memory.
    ///
    /// # Errors
    /// An input of another shape, kind or device.
    pub fn predict(&self, input: &Tensor) -> Result<Tensor> {
        self.check_batch(input)?;
        let head = self.head_log_prob(input)?;
        let (mut best, mut class) = head.f_narrow(1, 0, self.shortlist())?.f_max_dim(1, false)?;
        for (index, cluster) in self.tail.iter().enumerate() {
            let (in_cluster, place) = cluster.log_prob(input)?.f_max_dim(1, false)?;
            let own = in_cluster.f_add(&head.f_select(1, self.shortlist() + index as i64)?)?;
            let better = own.f_gt_tensor(&best)?;
            best = own.f_where_self(&better, &best)?;
            class = place.f_add_scalar(cluster.start)?.f_where_self(&better, &class)?;
        }
        Ok(class)
    }

    /// How many classes the head scores itself, from 0.
    fn shortlist(&self) -> i64 {
        self.config.cutoffs[0]
    }

    fn head_log_prob(&self, input: &Tensor) -> Result<Tensor> {
        Ok(input.f_linear(&self.head.ws, self.head.bs.as_ref())?.f_log_softmax(1, None)?)
    }

    /// The log-probability of each row's target.
    fn of_rows(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        // Bucket 0 is below all classes, 1 the short list, then the clusters, and the last one above all.
        let starts = self.tail.iter().map(|cluster| cluster.start);
        let borders: Vec<i64> = [0].into_iter().chain(starts).chain([self.config.n_classes]).collect();
        let borders = Tensor::f_from_slice(&borders)?.f_to_device(target.device())?;
        // libtorch warns on standard error before it makes this copy itself.
        let bucket = target.f_contiguous()?.f_bucketize(&borders, false, true)?;
        let buckets = Tensor::f_arange(self.tail.len() as i64 + 3, (Kind::Int64, target.device()))?;
        let counts = bucket.f_unsqueeze(1)?.f_eq_tensor(&buckets)?;
        let counts =
            Vec::<i64>::try_from(counts.f_sum_dim_intlist([0i64].as_slice(), false, Kind::Int64)?)?;
        if counts.first() != Some(&0) || counts.last() != Some(&0) {
            let extreme = |tensor: Tensor| tensor.f_int64_value(&[]);
            return Err(Error::Value {
                argument: "target",
                given: format!("classes from {} to {}", extreme(target.f_min()?)?, extreme(target.f_max()?)?),
                expected: format!("0 to {}", self.config.n_classes - 1),
            });
        }
        let in_head = target.f_minimum(&bucket.f_add_scalar(self.shortlist() - 2)?)?;
        let mut output =
            self.head_log_prob(input)?.f_gather(1, &in_head.f_unsqueeze(1)?, false)?.f_squeeze_dim(1)?;
        let order = bucket.f_argsort_stable(true, 0, false)?;
        let mut first = counts[1];
        for (cluster, &count) in self.tail.iter().zip(&counts[2..]) {
            if count > 0 {
                let rows = order.f_narrow(0, first, count)?;
                let place = target.f_index_select(0, &rows)?.f_sub_scalar(cluster.start)?.f_unsqueeze(1)?;
                let log_prob = cluster.log_prob(&input.f_index_select(0, &rows)?)?;
                let of_target = log_prob.f_gather(1, &place, false)?.f_squeeze_dim(1)?;
                output = output.f_index_add(0, &rows, &of_target)?;
            }
            first += count;
        }
        Ok(output)
    }

    /// `[N, in_features]` or `[in_features]`, of the kind and on the device of the parameters.
    fn check_input(&self, input: &Tensor) -> Result<()> {
        check::partners(("head.weight", &self.head.ws), ("input", input))?;
        let (given, features) = (input.size(), self.head.ws.size()[1]);
        if !(1..=2).contains(&given.len()) || given.last() != Some(&features) {
            let expected = format!("[{features}] or [N, {features}]");
            return Err(Error::Shape { argument: "input", given, expected });
        }
        Ok(())
    }

    fn check_batch(&self, input: &Tensor) -> Result<()> {
        self.check_input(input)?;
        if input.dim() != 2 {
            let expected = format!("[N, {}]", self.head.ws.size()[1]);
            return Err(Error::Shape { argument: "input", given: input.size(), expected });
        }
        Ok(())
    }
}

/// Its value is the [`loss`](AdaptiveLogSoftmaxOutput::loss) of the output.
impl Loss for AdaptiveLogSoftmaxWithLoss {
    fn check_options(&self) -> Result<()> {
        self.config.check()
    }

    fn try_forward(&self, input: &Tensor, target: &Tensor) -> Result<Tensor> {
        Ok(AdaptiveLogSoftmaxWithLoss::try_forward(self, input, target)?.loss)
    }
}
