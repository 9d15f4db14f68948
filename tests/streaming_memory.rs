//! What streaming saves. A test binary of its own: it looks at the memory of the whole process.
#![cfg(all(target_os = "linux", not(feature = "cuda")))]

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

/// The peak of resident memory during a step, beyond what there was.
fn peak(loss: &VggPerceptual, shape: &[i64]) -> u64 {
    let input = noise(1, shape, Kind::Float).set_requires_grad(true);
    let target = noise(2, shape, Kind::Float);
    // Makes the peak start anew; see proc(5).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");
    loss.forward(&input, &target).backward();
    status("VmHWM") - before
}

#[test]
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
