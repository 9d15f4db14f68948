//! Several threads and processes at once.

use super::*;

#[test]
fn many_threads_make_it_once() {
    let data = fs::read(alex()).unwrap();
    let server = Server::http(move |exchange| {
        // Time for the others to come.
        thread::sleep(Duration::from_millis(200));
        exchange.file(&data);
    });
    let place = Place::online();
    let file = known_at(&alex(), &server.origin(), "");
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_made(&place, &place.cache.get(&file).unwrap(), &alex()));
        }
    });
    assert_eq!(server.requests().len(), 1);
}

const CHILD: &str = "WEIGHTS_TEST_CHILD";

/// This test program once more, to run nothing but `child`.
fn child(what: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["weights::cache::processes::child_process", "--exact", "--nocapture"])
        .env(CHILD, what)
        .stdin(Stdio::null());
    command
}

/// Not a test of its own: what the processes that other tests start do.
#[test]
fn child_process() {
    let Some(what) = std::env::var_os(CHILD) else { return };
    if what == "environment" {
        println!("{:?}", Cache::from_env());
        return;
    }
    let path = |name: &str| PathBuf::from(std::env::var_os(name).unwrap());
    let cache = Cache { directory: path("CACHE"), hub: None, offline: false };
    let file = known_at(&path("ORIGINAL"), what.to_str().unwrap(), "features.");
    cache.get(&file).unwrap();
}

/// Processes at work on a file that `server` has.
struct Workers {
    server: Server,
    original: PathBuf,
}

impl Workers {
    fn spawn(&self, place: &Place) -> std::process::Child {
        let mut command = child(&self.server.origin());
        command.env("CACHE", &place.cache.directory).env("ORIGINAL", &self.original).stdout(Stdio::null());
        command.spawn().unwrap()
    }

    /// A place where a process was killed in the middle of converting what it had fetched.
    ///
    /// Nothing makes a process wait there to be killed, and this one may be late. Of twenty that are killed as soon as
    /// they are seen to begin, one is not done yet: that takes the time in which 80 MB are written and synchronised.
    fn killed_while_converting(&self) -> Place {
        for _ in 0..20 {
            let place = Place::online();
            let mut worker = self.spawn(&place);
            while partials(&place) == 0 && worker.try_wait().unwrap().is_none() {
                thread::sleep(Duration::from_millis(1));
            }
            worker.kill().unwrap();
            worker.wait().unwrap();
            if partials(&place) == 1 {
                return place;
            }
        }
        panic!("no process was killed in time");
    }
}

/// How many files that are being written a place has.
fn partials(place: &Place) -> usize {
    let mut names = names(&place.weights());
    names.retain(|name| name.starts_with("weights.safetensors.") && name.ends_with(".partial"));
    names.len()
}

#[test]
fn many_processes_make_it_once_even_if_one_is_killed() {
    let original = vgg("zip");
    let served = fs::read(&original).unwrap();
    let server = Server::http(move |exchange| exchange.file(&served));
    let workers = Workers { server, original };
    let place = workers.killed_while_converting();
    assert!(!place.cache.path(&known(&workers.original)).exists());
    let requests = workers.server.requests().len();

    let others: Vec<_> = (0..3).map(|_| workers.spawn(&place)).collect();
    for mut other in others {
        assert!(other.wait().unwrap().success());
    }
    assert_eq!(place.left(), ["weights.safetensors"]);
    // What the first had fetched was still there.
    assert_eq!(workers.server.requests().len(), requests);
    let mut expected = WeightsFile::open(&workers.original).unwrap();
    let mut found = WeightsFile::open(place.cache.path(&known(&workers.original))).unwrap();
    for name in found.names() {
        assert_eq!(found.read(&name).unwrap(), expected.read(&name).unwrap());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_environment_decides() {
    let check = |variables: &[(&str, &str)], directory: &str, hub: &str, offline: bool| {
        let output = set(child("environment"), variables).output().unwrap();
        let hub = Some(PathBuf::from(hub));
        let cache = Cache { directory: directory.into(), hub, offline };
        let (found, expected) = (String::from_utf8(output.stdout).unwrap(), format!("Ok({cache:?})"));
        assert!(found.contains(&expected), "{variables:?}: {found}, expected {expected}");
    };
    let hub = "/home/me/.cache/torch/hub/checkpoints";
    check(&[], "/home/me/.cache/tch-losses", hub, false);
    let xdg = ("XDG_CACHE_HOME", "/xdg");
    check(&[xdg], "/xdg/tch-losses", "/xdg/torch/hub/checkpoints", false);
    check(&[("TCH_LOSSES_CACHE", "/own"), xdg], "/own", "/xdg/torch/hub/checkpoints", false);
    check(&[("TORCH_HOME", "/torch"), xdg], "/xdg/tch-losses", "/torch/hub/checkpoints", false);
    let empty =
        ["TCH_LOSSES_CACHE", "TCH_LOSSES_OFFLINE", "TORCH_HOME", "XDG_CACHE_HOME"].map(|name| (name, ""));
    check(&empty, "/home/me/.cache/tch-losses", hub, false);
    for (value, offline) in [("1", true), ("true", true), ("0", false)] {
        check(&[("TCH_LOSSES_OFFLINE", value)], "/home/me/.cache/tch-losses", hub, offline);
    }
}
