//! What streaming saves. A program of its own, without the threads of tests: it looks at the memory of the
//! whole process, and glibc manages that of other threads differently.

mod common;

use std::fs;

use common::{noise, status, vgg};
use tch::Kind;
use tch_losses::{Loss, Streaming, VggPerceptual};

/// How much memory the system has handed out so far, page by page.
fn handed_out() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let minor_faults = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(7).unwrap();
    minor_faults.parse::<u64>().unwrap() * 4096
}

fn step(loss: &VggPerceptual, shape: &[i64]) {
    let input = noise(1, shape, Kind::Float).set_requires_grad(true);
    let target = noise(2, shape, Kind::Float);
    loss.forward(&input, &target).backward();
}

/// The peak of resident memory during a step, beyond what there was. The system counts in portions: a step that
/// needs hardly any more than there was may seem to need less.
fn peak(loss: &VggPerceptual, shape: &[i64]) -> u64 {
    // Makes the peak start anew; see proc(5).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    step(loss, shape);
    status("VmHWM") - before
}

fn main() {
    // Elsewhere there is no /proc, and on CUDA the memory is the device's.
    if !cfg!(target_os = "linux") || cfg!(feature = "cuda") {
        return;
    }
    a_streamed_batch_takes_the_memory_of_a_few_images();
    if cfg!(target_env = "gnu") {
        a_streamed_batch_uses_memory_again();
    }
}

fn a_streamed_batch_takes_the_memory_of_a_few_images() {
    let with = |streaming| VggPerceptual { streaming, ..VggPerceptual::new(vgg()) };
    let (streamed, graph) = (with(Streaming::Images(1)), with(Streaming::Off));
    // What libtorch sets up once shall not count.
    step(&streamed, &[1, 3, 16, 16]);
    let shape = [8, 3, 128, 128];
    // An image has 17 MB of activations, one that is on its way back less than four times that (some of which
    // the process may have free already); a graph keeps those of all eight, and the features of the targets.
    let streamed = peak(&streamed, &shape);
    assert!(streamed < 70 << 20, "{streamed}");
    let graph = peak(&graph, &shape);
    assert!(graph > 200 << 20, "{graph}");
}

/// Under glibc, which gives free memory back to the system where it can.
fn a_streamed_batch_uses_memory_again() {
    let loss = VggPerceptual::new(vgg());
    let shape = [8, 3, 256, 256];
    // What is set up once shall not count here either.
    step(&loss, &[2, 3, 256, 256]);
    let before = handed_out();
    step(&loss, &shape);
    // Every image takes about 100 MB.
    let handed_out = handed_out() - before;
    assert!(handed_out < 250 << 20, "{handed_out}");
}
