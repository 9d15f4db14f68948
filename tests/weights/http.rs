//! An HTTP(S) server on loopback that does what it is told, however wrong.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

/// What a client asked for.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// The path, or the whole URL where a proxy is asked.
    pub target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of a header, its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(present, _)| present == name).map(|(_, value)| value.as_str())
    }

    /// Where the client wants the file from: `N` of `Range: bytes=N-`.
    pub fn start(&self) -> Option<usize> {
        let range = self.header("range")?;
        Some(range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap())
    }

    fn read(stream: &mut dyn Stream) -> Option<Self> {
        let mut head = Vec::new();
        // Byte by byte, so that what follows the head stays in the stream.
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.lines();
        let mut first = lines.next()?.split(' ');
        let (method, target) = (first.next()?.into(), first.next()?.into());
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.into()))
            .collect();
        Some(Self { method, target, headers })
    }
}

pub trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

/// One request and the way to answer it. Writing fails silently: clients may hang up.
pub struct Exchange<'a> {
    /// The requests that came before.
    pub number: usize,
    pub request: Request,
    stream: &'a mut dyn Stream,
    tcp: &'a TcpStream,
    sent: &'a AtomicUsize,
}

impl Exchange<'_> {
    /// Sends a status line and headers; each connection is for one request.
    pub fn head(&mut self, status: &str, headers: &str) {
        let _ = write!(self.stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n");
        let _ = self.stream.flush();
    }

    /// Sends an answer without a body.
    pub fn status(&mut self, status: &str) {
        self.head(status, "Content-Length: 0\r\n");
    }

    /// Sends a part of a body, and says whether that went well.
    pub fn send(&mut self, bytes: &[u8]) -> bool {
        self.sent.fetch_add(bytes.len(), Ordering::SeqCst);
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).is_ok()
    }

    /// Sends the head for a file, or for its part from `start` on.
    pub fn file_head(&mut self, size: usize, start: Option<usize>) {
        let headers = format!("Content-Length: {}\r\n", size - start.unwrap_or(0));
        match start {
            None => self.head("200 OK", &headers),
            Some(start) => {
                let range = format!("Content-Range: bytes {start}-{}/{size}\r\n", size - 1);
                self.head("206 Partial Content", &(headers + &range));
            }
        }
    }

    /// Does it right: the file, or the part of it that is asked for.
    pub fn file(&mut self, file: &[u8]) {
        let start = self.request.start();
        self.file_head(file.len(), start);
        self.send(&file[start.unwrap_or(0)..]);
    }

    /// Says nothing until the client has had enough.
    pub fn hang(&mut self) {
        let _ = self.stream.read(&mut [0]);
    }

    /// Breaks the connection off with a reset.
    pub fn reset(&mut self) {
        SockRef::from(self.tcp).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Does what a proxy is asked for with CONNECT: passes bytes on until one side ends.
    pub fn tunnel(&mut self) {
        let mut server = TcpStream::connect(&self.request.target).unwrap();
        let _ = write!(self.stream, "HTTP/1.1 200 OK\r\n\r\n");
        let (mut from_client, mut to_server) = (self.tcp.try_clone().unwrap(), server.try_clone().unwrap());
        let upwards = thread::spawn(move || {
            let _ = std::io::copy(&mut from_client, &mut to_server);
            let _ = to_server.shutdown(Shutdown::Write);
        });
        let _ = std::io::copy(&mut server, &mut self.stream);
        let _ = self.tcp.shutdown(Shutdown::Both);
        upwards.join().unwrap();
    }
}

/// Runs until it is dropped.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    log: Arc<Log>,
    accepting: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    connections: AtomicUsize,
    requests: Mutex<Vec<Request>>,
    sent: AtomicUsize,
    stop: AtomicBool,
}

impl Server {
    pub fn http(answer: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Self {
        Self::start("http", answer, |tcp| Box::new(tcp))
    }

    pub fn https(authority: &Authority, answer: impl Fn(&mut Exchange) + Send + Sync + 'static) -> Self {
        let config = authority.server_config();
        Self::start("https", answer, move |tcp| {
            Box::new(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp))
        })
    }

    fn start(
        scheme: &'static str,
        answer: impl Fn(&mut Exchange) + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> Box<dyn Stream> + Send + Sync + 'static,
    ) -> Self {
        // Where there is a proxy for everything, it is not for these servers.
        static NO_PROXY: Once = Once::new();
        NO_PROXY.call_once(|| std::env::set_var("NO_PROXY", "127.0.0.1"));

        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let log = Arc::new(Log::default());
        let shared = Arc::new((log.clone(), answer, wrap));
        let accepting = thread::spawn(move || {
            for tcp in listener.incoming() {
                let tcp = tcp.unwrap();
                if shared.0.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = shared.clone();
                // Ends with the connection, if not before the whole test does.
                thread::spawn(move || {
                    let (log, answer, wrap) = &*shared;
                    log.connections.fetch_add(1, Ordering::SeqCst);
                    tcp.set_nodelay(true).unwrap();
                    let mut stream = wrap(tcp.try_clone().unwrap());
                    let Some(request) = Request::read(&mut stream) else { return };
                    let number = {
                        let mut requests = log.requests.lock().unwrap();
                        requests.push(request.clone());
                        requests.len() - 1
                    };
                    answer(&mut Exchange {
                        number,
                        request,
                        stream: &mut stream,
                        tcp: &tcp,
                        sent: &log.sent,
                    });
                });
            }
        });
        Self { address, scheme, log, accepting: Some(accepting) }
    }

    pub fn url(&self) -> String {
        format!("{}://{}/models/weights.bin", self.scheme, self.address)
    }

    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.log.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.requests.lock().unwrap().clone()
    }

    /// Per request, from which byte on.
    pub fn starts(&self) -> Vec<Option<usize>> {
        self.requests().iter().map(Request::start).collect()
    }

    /// The bytes of bodies sent so far.
    pub fn sent(&self) -> usize {
        self.log.sent.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.log.stop.store(true, Ordering::SeqCst);
        // Wakes the listener up.
        let _ = TcpStream::connect(self.address);
        self.accepting.take().unwrap().join().unwrap();
    }
}

/// A certificate authority of its own.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    fn server_config(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        Arc::new(config)
    }
}
