//! What streaming saves. A program of its own, without the threads of tests: it looks at the memory of the
//! whole process, and glibc manages that of other threads differently.

mod common;

use std::fs;

use common::{noise, vgg};
use tch::Kind;
use tch_losses::{Loss, Streaming, VggPerceptual};

/// A line of `/proc/self/status`, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// How much memory the system has handed out so far, page by page.
fn handed_out() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let minor_faults = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(7).unwrap();
    minor_faults.parse::<u64>().unwrap() * 4096
}

/// The peak of resident memory during a step, beyond what there was.
fn peak(loss: &VggPerceptual, shape: &[i64]) -> u64 {
    let input = noise(1, shape, Kind::Float).set_requires_grad(true);
    let target = noise(2, shape, Kind::Float);
    // Makes the peak start anew; see proc(5).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    loss.forward(&input, &target).backward();
    status("VmHWM").saturating_sub(before)
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
    peak(&streamed, &[1, 3, 16, 16]);
    let shape = [8, 3, 128, 128];
    // An image has 17 MB of activations, one that is on its way back less than four times that (some of which
    // the process may have free already); a graph keeps those of all eight, and the features of the targets.
    let streamed = peak(&streamed, &shape);
    assert!(streamed < 70 << 20, "{streamed}");
    let graph = peak(&graph, &shape);
    assert!(graph > 200 << 20, "{graph}");
}

/// That of glibc, which gives it back to the system if it can.
fn a_streamed_batch_uses_memory_again() {
    let loss = VggPerceptual::new(vgg());
    let shape = [8, 3, 256, 256];
    // As before.
    peak(&loss, &[2, 3, 256, 256]);
    let before = handed_out();
    peak(&loss, &shape);
    // Every image takes about 100 MB.
    let handed_out = handed_out() - before;
    assert!(handed_out < 250 << 20, "{handed_out}");
}
