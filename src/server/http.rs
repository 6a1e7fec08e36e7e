//! Connections: listening, serving HTTP/1.1 and HTTP/2 without TLS, and stopping.
//!
//! Each connection is one task. A signal to stop closes the listener at once, lets requests in progress finish within
//! their time, and closes idle connections.

use std::fmt;
use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use super::at_rest::key_list;
use super::auth::{Auth, HostActor, KeyRing, Policy};
use super::config::Config;
use super::connection::Connection;
use super::export::Exporter;
use super::gateway::{HttpGateway, own_link};
use super::metrics::Metrics;
use super::request::respond;
use super::retry::Retry;
use super::watch::Observer;
use crate::env::{Clock, SystemClock, TxnClock};
use crate::error::Error;
use crate::exec::{Devices, Engine, Gateway, Kernel};
use crate::limits::Limits;
use crate::planner::Optimizer;
use crate::storage::{DataDir, Store, StoreConfig, Workspace};
use crate::txn::Txn;
use crate::value::Link;

/// Connections that the system accepts before the host does.
const BACKLOG: u32 = 1024;
/// How long a client may take to send the head of a request, or leave a connection idle.
const HEAD_TIME_MAX: Duration = Duration::from_secs(60);
/// How often to ask whether the other end of an HTTP/2 connection is still there.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Bytes of the head of a request on an HTTP/2 connection; the library refuses more without a body.
const HEAD_BYTES_MAX: u32 = 1 << 20;
/// Requests in progress on one HTTP/2 connection.
const STREAMS_MAX: u32 = 256;
/// How long to wait after a connection could not be accepted, e.g. for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long requests in progress may go on after a signal to stop; then they are answered with 503.
const DRAIN_TIME: Duration = Duration::from_secs(1);
/// How long the end of a host waits for a driver that is being opened.
const DRIVERS_WAIT: Duration = Duration::from_secs(10);

/// What all requests share.
pub(super) struct Host {
    /// What others know this host by.
    pub(super) link: Link,
    pub(super) kernel: Kernel,
    pub(super) auth: Arc<Auth>,
    pub(super) store: Arc<Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) mint: TxnClock,
    pub(super) limits: Limits,
    pub(super) metrics: Metrics,
    pub(super) observer: Observer,
    /// One permit for each request that may be in progress, until its reply is sent.
    pub(super) slots: Arc<Semaphore>,
    /// Becomes true when requests in progress are to be abandoned.
    stopping: watch::Sender<bool>,
}

impl Host {
    #[expect(clippy::disallowed_methods, reason = "what tells this host from others is drawn once")]
    fn new(
        config: &Config,
        listen: SocketAddr,
        store: Arc<Store>,
        engine: Engine,
        actor: HostActor,
        exporter: &Exporter,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limits = config.limits();
        let (metrics, spans) = (Metrics::new(clock.now(), &exporter.counts), exporter.counts.ended.clone());
        let retry = Retry::new(rand::random(), metrics.retries.clone());
        let sent_tokens = config.peer.iter().chain(&config.trust);
        let gateway = HttpGateway::new(listen, config.address, limits.reply_bytes, retry).sending_tokens(sent_tokens);
        let gateway: Arc<dyn Gateway> = Arc::new(gateway);
        let link = own_link(listen, config.address);
        let devices = Devices::start(config.device, Arc::clone(&clock));
        Self {
            auth: Arc::new(auth(config, actor, &gateway, &clock, link.clone())),
            link,
            kernel: Kernel::new(limits.clone(), gateway, Arc::clone(&clock), Arc::clone(&store), engine, devices)
                .with_optimizer(Optimizer::without(&config.without_rules)),
            store,
            mint: TxnClock::new(rand::random()),
            observer: Observer::new(metrics.services.clone(), exporter.tracer(), spans, Arc::clone(&clock)),
            metrics,
            slots: Arc::new(Semaphore::new(limits.requests.min(Semaphore::MAX_PERMITS))),
            stopping: watch::Sender::new(false),
            clock,
            limits,
        }
    }
}

/// The guard of a host. Tokens are believed that come from whoever the command line names.
fn auth(config: &Config, actor: HostActor, gateway: &Arc<dyn Gateway>, clock: &Arc<dyn Clock>, host: Link) -> Auth {
    let is_local = |link: &Link| link.authority().is_some_and(|authority| gateway.is_local(authority));
    let policy = Policy::new(config.owner.as_ref(), config.group.as_ref(), is_local);
    let owner = config.owner.as_ref().map(|owner| &owner.issuer);
    let trusted = config.peer.iter().chain(&config.issuer).chain(owner).chain(&config.group);
    let actor = Arc::new(actor);
    let keys = KeyRing::new(Arc::clone(&actor), Arc::clone(gateway), Arc::clone(clock), trusted);
    Auth::new(policy, actor, Box::new(keys), Arc::clone(clock), host)
}

impl Host {
    /// What a request carries that the host makes by itself.
    fn own_txn(&self) -> Txn {
        let (id, deadline) = (self.mint.mint(&*self.clock), self.clock.now() + self.limits.request_ttl);
        Txn { id, deadline, token: None, actor: None, access: None, watch: None }
    }

    /// Completes when requests in progress are to be abandoned.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as the host, so this cannot fail before it is true.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}

/// Why a host could not start.
#[derive(Debug)]
pub enum ServeError {
    /// The data directory or the workspace is not usable.
    Storage(io::Error),
    /// What is stored cannot be read, or not be written.
    Store(Error),
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// The signals to stop cannot be received.
    Signals(io::Error),
    /// What the environment says about the export of traces makes no sense.
    Traces(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Storage(error) => write!(f, "{error}"),
            ServeError::Store(error) => write!(f, "{error}"),
            ServeError::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            ServeError::Signals(error) => write!(f, "cannot receive signals: {error}"),
            ServeError::Traces(error) => write!(f, "cannot export traces: {error}"),
        }
    }
}

impl std::error::Error for ServeError {}

/// Runs a host until it receives SIGTERM or SIGINT.
///
/// # Errors
/// If the host cannot start.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    for sentence in config.later() {
        warn!("{sentence}");
    }
    let server = Box::pin(Server::start(&config, Arc::new(SystemClock))).await?;
    let stop = stop_signal().map_err(ServeError::Signals)?;
    announce(&config, server.address);
    Box::pin(server.run(stop)).await;
    Ok(())
}

/// A host that has its data and its address, and answers once it runs.
pub struct Server {
    host: Arc<Host>,
    listener: TcpListener,
    address: SocketAddr,
    exporter: Exporter,
    /// Nobody else uses them meanwhile.
    data: DataDir,
    _workspace: Workspace,
}

impl Server {
    /// Opens the directories, recovers what was committed before the host stopped, listens, and begins to do what chains
    /// had not finished. Nobody waits for that but whoever uses a chain that is not yet rid of what was purged, so it
    /// begins before the first request.
    ///
    /// # Errors
    /// If any of that fails.
    pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, ServeError> {
        let keys = key_list(config.at_rest_key.as_deref()).map_err(ServeError::Storage)?;
        let data = DataDir::open_sealed(&config.data_dir, keys.as_ref()).map_err(ServeError::Storage)?;
        let secret = data.secret(HostActor::new_secret).map_err(ServeError::Storage)?;
        let actor = HostActor::from_secret(&secret).map_err(ServeError::Store)?;
        let workspace = Workspace::open(&config.workspace).map_err(ServeError::Storage)?;
        let store = open_store(config, &data, &clock).await.map_err(ServeError::Store)?;
        let engine = config.engine(workspace.path(), data.keys().is_some());
        let engine = Engine::new(&engine).map_err(ServeError::Store)?;
        let address = SocketAddr::new(config.listen_ip(), config.http_port);
        let listener = listen(address).map_err(|error| ServeError::Listen(address, error))?;
        let address = listener.local_addr().map_err(|error| ServeError::Listen(address, error))?;
        let exporter = Exporter::from_env().map_err(ServeError::Traces)?;
        let host = Arc::new(Host::new(config, address, store, engine, actor, &exporter, clock));
        Box::pin(host.kernel.resume(&host.own_txn())).await.map_err(ServeError::Store)?;
        Ok(Self { host, listener, address, exporter, data, _workspace: workspace })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop` completes and those in progress are answered.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        check_histories(&self.host);
        let _data = reseal(&self.host.store, self.data);
        let reducing = tokio::spawn(reduce_chains(Arc::clone(&self.host)));
        accept(self.listener, &self.host, stop).await;
        reducing.abort();
        let (host, devices) = (&self.host, Arc::clone(self.host.kernel.devices()));
        // Whoever ends while a driver is being opened may crash in it.
        let drivers = timeout(DRIVERS_WAIT, tokio::task::spawn_blocking(move || devices.stop()));
        let _ = tokio::join!(host.store.close(), self.exporter.close(), drivers);
    }
}

/// Looks whether the histories of chains are whole. Nobody waits for that.
fn check_histories(host: &Arc<Host>) {
    let host = Arc::clone(host);
    drop(tokio::spawn(async move {
        if let Err(error) = host.kernel.check_histories(&host.own_txn()).await {
            warn!(%error, "cannot look at the chains, whether their histories are whole");
        }
    }));
}

/// Reduces chains as they become due.
async fn reduce_chains(host: Arc<Host>) {
    host.kernel.reduce_chains(|| host.own_txn()).await;
}

/// Begins to write again what is encrypted with older keys, so that the next start needs the newest one only. Holds the
/// data directory until the host has stopped.
fn reseal(store: &Arc<Store>, data: DataDir) -> Arc<DataDir> {
    let data = Arc::new(data);
    if data.has_older_keys() {
        let (store, data) = (Arc::clone(store), Arc::clone(&data));
        drop(tokio::spawn(async move {
            let done = match Box::pin(store.reseal()).await {
                Ok(()) => data.forget_older_keys().map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            match done {
                Ok(()) => info!("older keys of --at_rest_key are not needed any more"),
                Err(error) => {
                    warn!(error, "older keys of --at_rest_key are still needed; trying again at the next start")
                }
            }
        }));
    }
    data
}

/// Opens the store in the data directory, and recovers what was committed before the host stopped.
async fn open_store(config: &Config, data: &DataDir, clock: &Arc<dyn Clock>) -> crate::error::Result<Arc<Store>> {
    Store::open(StoreConfig { clock: Arc::clone(clock), ..config.store(data)? }).await
}

/// Listens on `address`, also if connections of an earlier host on that port linger.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Says on stdout where the host is, and what to try first.
fn announce(config: &Config, local: SocketAddr) {
    let ip = match local.ip() {
        ip if ip.is_unspecified() => IpAddr::from(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    let url = format!("http://{}", SocketAddr::new(ip, local.port()));
    let text = format!(
        "tinychain {version} listens on {local}, with its data in {data}\n\
         documentation  {url}/docs  (for tools: {url}/openapi.json)\n\
         try            curl {url}/transact/hypothetical -d '{program}'\n",
        version = env!("CARGO_PKG_VERSION"),
        data = config.data_dir.display(),
        program = r#"{"op": [["x", 20], ["y", {"$x/add": [22]}]]}"#,
    );
    // Nobody may be reading, which is no reason to stop.
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Completes when the host is told to stop. Signals are received from now on, on a thread of their own, which ends the
/// process itself if requests keep every other thread from doing so.
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    let (told, stop) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let wait = {
        let _context = runtime.enter();
        signals()?
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(wait);
        // The receiver is gone only if the host has stopped already.
        let _ = told.send(());
        std::thread::sleep(3 * DRAIN_TIME);
        std::process::exit(0);
    })?;
    Ok(async {
        let _ = stop.await;
    })
}

#[cfg(unix)]
fn signals() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn signals() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
    })
}

async fn accept(listener: TcpListener, host: &Arc<Host>, stop: impl Future<Output = ()>) {
    let builder = Arc::new(connection_builder());
    let graceful = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let task = serve_connection(stream, Arc::clone(&builder), Arc::clone(host), graceful.watcher());
                    tokio::spawn(task);
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
            () = &mut stop => break,
        }
    }
    drop(listener);
    drain(graceful, host).await;
}

/// Lets requests in progress finish, for a while.
async fn drain(graceful: GracefulShutdown, host: &Host) {
    info!(connections = graceful.count(), "stopping");
    let mut finished = pin!(graceful.shutdown());
    if timeout(DRAIN_TIME, &mut finished).await.is_err() {
        host.stopping.send_replace(true);
        if timeout(DRAIN_TIME, finished).await.is_err() {
            warn!("stopped before all requests were answered");
        }
    }
}

fn connection_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIME_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(HEAD_BYTES_MAX);
    builder
}

async fn serve_connection(stream: TcpStream, builder: Arc<Builder<TokioExecutor>>, host: Arc<Host>, watcher: Watcher) {
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "cannot send small replies at once");
    }
    let heard = Arc::new(AtomicBool::new(false));
    let silence = silence(Arc::clone(&heard));
    let service = service_fn(move |request| {
        heard.store(true, Ordering::Relaxed);
        respond(Arc::clone(&host), request)
    });
    let connection = watcher.watch(builder.serve_connection(Connection::new(TokioIo::new(stream)), service));
    tokio::select! {
        result = connection => if let Err(error) = result {
            debug!(error = %error, "a connection failed");
        },
        () = silence => debug!("closed a connection without a request"),
    }
}

/// Completes if a client connects but sends no request. Nothing else bounds the time before the first one, since it is
/// not known yet which version of HTTP the client speaks.
async fn silence(heard: Arc<AtomicBool>) {
    sleep(HEAD_TIME_MAX).await;
    if heard.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_free_port_can_be_asked_for_and_a_taken_one_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _context = runtime.enter();
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_addr().unwrap();
        assert_ne!(address.port(), 0);
        let error = ServeError::Listen(address, listen(address).unwrap_err());
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
        drop(listener);
        assert!(listen(address).is_ok());
    }
}
