//! Many simulated printers in one process: a listening socket each, one router and one server for all.
//!
//! A router per printer would cost more memory than the printer. There is one, and a request learns its printer from
//! the connection that it came on.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Handle,
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    api,
    config::FarmConfig,
    files::Blobs,
    gcode::sample_gcode,
    printer::{Common, SimulatedPrinter},
    wire::{Conn, Wire},
};

/// Path and seconds of the sample files.
const SAMPLES: [(&str, u32); 3] =
    [("bracket.gcode", 600), ("calibration/cube.gcode", 90), ("long/vase.gcode", 4 * 3600)];
/// Accepted connections on their way to the server.
const DOORMAT: usize = 256;
/// How long [`Farm::stop`] waits for connections to end.
const GOODBYE: Duration = Duration::from_secs(2);
/// After an accept that failed (out of file descriptors): a pause rather than a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What the operating system receives for a printer that does not read, in bytes: an upload stands still soon then.
const RECEIVED: u32 = 64 * 1024;
/// Connections that wait to be accepted.
const ACCEPTABLE: u32 = 1_024;

/// A farm of simulated printers. Dropping it ends all its tasks.
#[derive(Debug)]
pub struct Farm {
    printers: Vec<SimulatedPrinter>,
    control_url: Option<String>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Farm {
    /// Opens the ports and begins to serve.
    ///
    /// # Errors
    /// A port that cannot be had.
    pub async fn start(config: FarmConfig) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let common = Arc::new(Common {
            latency: config.latency,
            flavor: config.flavor,
            started: Instant::now(),
            blobs: Blobs::default(),
            stop: stop.clone(),
            runtime: Handle::current(),
        });
        let samples = match config.with_sample_files {
            true => SAMPLES.map(|(path, seconds)| (path, common.blobs.intern(sample_gcode(seconds).into()))).to_vec(),
            false => Vec::new(),
        };
        let mut printers = Vec::with_capacity(config.printers);
        for index in 0..config.printers {
            let listener = listen((Ipv4Addr::LOCALHOST, port(config.base_port, index)?).into())?;
            let printer = SimulatedPrinter::new(index + 1, &config, common.clone(), listener)?;
            for (path, blob) in &samples {
                printer.put_blob(path, blob.clone());
            }
            if let Some(path) = &config.select {
                printer.select(path);
            }
            printers.push(printer);
        }
        // From here on nothing fails but the control port, and a farm that is dropped stops.
        let mut farm = Self { printers, control_url: None, stop: stop.clone(), tasks: TaskTracker::new() };
        let (accepted, doors) = mpsc::channel(DOORMAT);
        for printer in &farm.printers {
            farm.tasks.spawn(attend(printer.clone(), accepted.clone(), stop.clone()));
        }
        let service = api::router().into_make_service_with_connect_info::<Conn>();
        let server = axum::serve(Doors(doors), service).with_graceful_shutdown(stop.clone().cancelled_owned());
        farm.tasks.spawn(async move {
            let _ = server.await;
        });
        if let Some(port) = config.control_port {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
            farm.control_url = Some(format!("http://{}", listener.local_addr()?));
            let router = api::control::router(farm.printers.clone().into());
            let server = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
            farm.tasks.spawn(async move {
                let _ = server.await;
            });
        }
        Ok(farm)
    }

    /// In the order of their names.
    pub fn printers(&self) -> &[SimulatedPrinter] {
        &self.printers
    }

    /// Where every printer can be steered, if a control port was asked for.
    pub fn control_url(&self) -> Option<&str> {
        self.control_url.as_deref()
    }

    /// Ends all connections and waits until they are gone.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(GOODBYE, self.tasks.wait()).await;
    }
}

impl Drop for Farm {
    fn drop(&mut self) {
        self.stop.cancel();
        for printer in &self.printers {
            printer.close();
        }
    }
}

/// Opens a printer's port.
pub(super) fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_recv_buffer_size(RECEIVED)?;
    socket.bind(address)?;
    socket.listen(ACCEPTABLE)
}

fn port(base: Option<u16>, index: usize) -> std::io::Result<u16> {
    let Some(base) = base else { return Ok(0) };
    u16::try_from(index)
        .ok()
        .and_then(|index| base.checked_add(index))
        .ok_or_else(|| std::io::Error::other(format!("no port {index} after {base}: ports end at 65535")))
}

/// Opens the door of one printer to whoever knocks.
async fn attend(printer: SimulatedPrinter, accepted: mpsc::Sender<(Wire, SocketAddr)>, stop: CancellationToken) {
    let mut fault = printer.watch_fault();
    loop {
        let guest = tokio::select! {
            () = stop.cancelled() => return,
            // The listener may have gone or come back: look again.
            changed = fault.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            guest = std::future::poll_fn(|cx| printer.poll_accept(cx)) => guest,
        };
        match guest {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                if accepted.send((Wire::new(stream, printer.clone()), address)).await.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// All the doors of the farm, as the one listener that axum serves.
pub struct Doors(mpsc::Receiver<(Wire, SocketAddr)>);

impl axum::serve::Listener for Doors {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.0.recv().await {
            Some(guest) => guest,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok((Ipv4Addr::LOCALHOST, 0).into())
    }
}
