//! A program without a graph: forward, and back from what that left behind.

use tch::{Device, Kind, Tensor};

use super::extractor::{Pass, Trace, Visit};
use super::ops::{in_order, relu, relu_back, BatchNorm, Pool, Prepared, PreparedFire, Scratch};
use super::ops::{FireRecord, PoolRecord};
use super::program::{Action, Program};
use crate::Result;

/// A program made ready for batches of one size.
pub(super) struct ProgramPass<'a> {
    program: Program<'a>,
    /// The steps of the program. Kept no longer than for a batch, as the parameters may change.
    steps: Vec<Ready<'a>>,
    scratch: Scratch,
    device: Device,
    kind: Kind,
}

/// A step with what it needs.
enum Ready<'a> {
    Convolution { convolution: Prepared, relu: bool },
    BatchNorm(&'a BatchNorm),
    Relu,
    Pool(Pool),
    Fire(Box<PreparedFire>),
}

/// What a step leaves behind for the way back.
enum Record {
    /// The output, where there was a ReLU.
    Convolution(Option<Tensor>),
    BatchNorm,
    /// The output.
    Relu(Tensor),
    Pool(PoolRecord),
    Fire(FireRecord),
}

impl ProgramPass<'_> {
    /// For images of a size `[N, 3, H, W]`, in a network of a device and kind.
    pub(super) fn new<'a>(
        program: Program<'a>,
        [count, _, height, width]: [i64; 4],
        device: Device,
        kind: Kind,
    ) -> Result<ProgramPass<'a>> {
        let mut elements = 0;
        let mut sides = [height, width];
        let mut steps = Vec::new();
        for step in &program.steps {
            steps.push(match step.action {
                Action::Convolution { convolution, norm, relu } => {
                    let convolution = convolution.with_norm(norm)?;
                    let input = sides;
                    sides = sides.map(|side| convolution.window.output(side));
                    let convolution = Prepared::new(&convolution, count, input, &mut elements)?;
                    Ready::Convolution { convolution, relu }
                }
                Action::BatchNorm(norm) => Ready::BatchNorm(norm),
                Action::Relu => Ready::Relu,
                Action::Pool(pool) => {
                    sides = sides.map(|side| pool.window().output(side));
                    Ready::Pool(pool)
                }
                Action::Fire(fire) => {
                    let fire = PreparedFire::new(fire, count, sides, &mut elements)?;
                    Ready::Fire(Box::new(fire))
                }
            });
        }
        Ok(ProgramPass { program, steps, scratch: Scratch::new(elements)?, device, kind })
    }

    /// The images as the network computes fastest.
    fn prepared(&self, images: &Tensor) -> Result<Tensor> {
        in_order(&images.f_to_kind(self.kind)?, self.device, self.kind)
    }

    fn forward(&self, step: usize, x: &Tensor) -> Result<(Tensor, Record)> {
        Ok(match &self.steps[step] {
            Ready::Convolution { convolution, relu } => {
                let output = convolution.forward(x, *relu, &self.scratch)?;
                let record = relu.then(|| output.shallow_clone());
                (output, Record::Convolution(record))
            }
            Ready::BatchNorm(norm) => (norm.forward(x)?, Record::BatchNorm),
            Ready::Relu => {
                let output = relu(x)?;
                let record = Record::Relu(output.shallow_clone());
                (output, record)
            }
            Ready::Pool(pool) => {
                let (output, record) = pool.forward(x)?;
                (output, Record::Pool(record))
            }
            Ready::Fire(fire) => {
                let (output, record) = fire.forward(x, &self.scratch)?;
                (output, Record::Fire(record))
            }
        })
    }

    /// The gradient with respect to a step's input, from that with respect to its output.
    fn back(&self, step: usize, gradient: Tensor, record: Record) -> Result<Tensor> {
        match (&self.steps[step], record) {
            (Ready::Convolution { convolution, .. }, Record::Convolution(output)) => {
                convolution.back(gradient, output, &self.scratch)
            }
            (Ready::BatchNorm(norm), Record::BatchNorm) => norm.back(&gradient),
            (Ready::Relu, Record::Relu(output)) => relu_back(&gradient, &output),
            (Ready::Pool(pool), Record::Pool(record)) => pool.back(&gradient, record),
            (Ready::Fire(fire), Record::Fire(record)) => fire.back(&gradient, record, &self.scratch),
            _ => unreachable!("each step leaves its own kind of record"),
        }
    }
}

impl Pass for ProgramPass<'_> {
    fn run(&self, images: &Tensor, visit: &mut Visit) -> Result<()> {
        self.program.walk(self.prepared(images)?, |step, x| Ok(self.forward(step, x)?.0), visit)
    }

    fn trace<'a>(&'a self, images: &Tensor, visit: &mut Visit) -> Result<Box<dyn Trace + 'a>> {
        let (mut records, mut kind) = (Vec::new(), self.kind);
        let keep = |step, x: &Tensor| {
            let (output, record) = self.forward(step, x)?;
            records.push(record);
            kind = output.kind();
            Ok(output)
        };
        self.program.walk(self.prepared(images)?, keep, visit)?;
        Ok(Box::new(ProgramTrace { pass: self, records, kind, size: images.size() }))
    }
}

/// PyTorch's autograd would do the same, but keep everything that it may need until the end. Here the
/// parameters need no gradient, so that outputs suffice, and are freed on the way.
struct ProgramTrace<'a> {
    pass: &'a ProgramPass<'a>,
    /// Of each step.
    records: Vec<Record>,
    kind: Kind,
    /// Of the images.
    size: Vec<i64>,
}

impl Trace for ProgramTrace<'_> {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn back(mut self: Box<Self>, mut slopes: Vec<Option<Tensor>>) -> Result<Tensor> {
        let mut total: Option<Tensor> = None;
        while let Some(record) = self.records.pop() {
            let step = self.records.len();
            for tap in self.pass.program.steps[step].taps.iter().rev() {
                let Some(own) = slopes.get_mut(*tap).and_then(Option::take) else { continue };
                total = Some(match total {
                    Some(mut total) => total.f_add_(&own)?,
                    None => own,
                });
            }
            if let Some(gradient) = total {
                total = Some(self.pass.back(step, gradient, record)?);
            }
        }
        match total {
            Some(gradient) => Ok(gradient),
            None => Ok(Tensor::f_zeros(&self.size, (self.kind, self.pass.device))?),
        }
    }
}
