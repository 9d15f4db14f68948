//! What streaming saves. Each measurement has a process of its own: the system tells what a whole process takes, and what
//! one step leaves behind would hide what the next one needs.

use std::fs;

use tch::{nn, Device, Kind};
use tch_losses::{Architecture, Loss, Network, PerceptualLoss, Streaming};

use crate::common::{noise, status};

pub const MB: u64 = 1 << 20;

/// A measurement, in bytes.
pub fn measure(name: &str, arguments: &[String]) -> u64 {
    match name {
        "peak" => peak(arguments),
        "handed-out" => handed_out(),
        other => panic!("there is nothing like {other}"),
    }
}

/// What a process with these arguments prints, in megabytes.
fn measured(arguments: &[&str], environment: &[(&str, &str)]) -> u64 {
    let output = crate::child(arguments).envs(environment.iter().copied()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    text.trim().parse::<u64>().unwrap_or_else(|_| panic!("{arguments:?}: {text}{error}")) / MB
}

/// What grows with the batch, for what libtorch needs beside that (its threads, its scratch memory) differs from
/// processor to processor, but is the same for one image and for nine.
///
/// Down to the deepest tap, an image of 128x128 has 15.5 MB of activations. A graph keeps those of the input, and the
/// features of the target at the taps, 7 MB: for eight images more, 180 MB. Streamed, there are the input, the target
/// and the gradient, 5 MB for eight images; no other tensor is of more than an image.
pub fn a_streamed_batch_takes_the_memory_of_one_image() {
    let growth = |streaming| {
        measured(&["peak", streaming, "9"], &[]) as i64 - measured(&["peak", streaming, "1"], &[]) as i64
    };
    let graph = growth("off");
    assert!(graph >= 150, "{graph} MB for eight images more in a graph: the comparison is void");
    let streamed = growth("1");
    // A third leaves room for holes in the heap. They are larger where convolutions are matrix products, as the graph is.
    assert!(3 * streamed <= graph, "{streamed} MB for eight images more, streamed; {graph} MB in a graph");
}

/// glibc gives free memory at the end of its heap back to the system where that is more than 32 MB, and the system hands
/// it out anew for the next image. The measure is a process that is told to keep it. An image of 128x128 and what
/// libtorch works with take 30 MB on some processors, and 70 MB on those where convolutions are matrix products: only
/// there can this fail, as it does with an instruction set capped at SSE4.1.
pub fn a_streamed_batch_uses_memory_again() {
    // Setting either ends the adjustment of both. 32 MB are the most that are not mapped for themselves.
    let keep = "glibc.malloc.trim_threshold=4294967296:glibc.malloc.mmap_threshold=33554432";
    let kept = measured(&["handed-out"], &[("GLIBC_TUNABLES", keep)]);
    let found = measured(&["handed-out"], &[]);
    // Half of what the activations of sixteen images take.
    assert!(found <= kept + 124, "{found} MB handed out, {kept} MB where memory is kept");
}

fn loss(streaming: Streaming) -> PerceptualLoss {
    let vs = nn::VarStore::new(Device::Cpu);
    PerceptualLoss { streaming, ..PerceptualLoss::new(Network::new(&vs.root(), &Architecture::VGG19)) }
}

fn step(loss: &PerceptualLoss, shape: &[i64]) {
    let input = noise(1, shape, Kind::Float).set_requires_grad(true);
    let target = noise(2, shape, Kind::Float);
    loss.forward(&input, &target).backward();
}

/// The most memory in bytes that is in use during a step; the arguments tell how and with how many images.
fn peak(arguments: &[String]) -> u64 {
    let [streaming, images] = arguments else { panic!("{arguments:?}") };
    let loss = loss(match streaming.as_str() {
        "off" => Streaming::Off,
        images => Streaming::Images(images.parse().unwrap()),
    });
    // What libtorch sets up once shall not count.
    step(&loss, &[1, 3, 16, 16]);
    // Makes the peak start anew; see proc(5).
    fs::write("/proc/self/clear_refs", "5").unwrap();
    step(&loss, &[images.parse().unwrap(), 3, 128, 128]);
    status("VmHWM")
}

/// How much memory in bytes the system hands out, page by page, during a step with sixteen images.
fn handed_out() -> u64 {
    let minor_faults = || {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        stat.rsplit_once(')').unwrap().1.split_whitespace().nth(7).unwrap().parse::<u64>().unwrap()
    };
    let loss = loss(Streaming::Images(1));
    // What is set up once shall not count here either.
    step(&loss, &[2, 3, 128, 128]);
    let before = minor_faults();
    step(&loss, &[16, 3, 128, 128]);
    (minor_faults() - before) * 4096
}
