//! Farm of simulated printers in one process: a listening socket for each printer, one router and one server for all.
//!
//! A router per printer would use more memory than the printer. So there is one router, and a request gets its printer
//! from its connection.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{net::TcpListener, runtime::Handle, sync::mpsc};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    api,
    config::FarmConfig,
    faulty_stream::{AcceptedConnections, ConnectionHandle, FaultyStream},
    files::BlobStore,
    gcode::sample_gcode,
    listener::open_listener,
    printer::{FarmContext, SimulatedPrinter},
};

/// Path and print time in seconds of the sample files.
const SAMPLE_FILES: [(&str, u32); 3] =
    [("bracket.gcode", 600), ("calibration/cube.gcode", 90), ("long/vase.gcode", 4 * 3600)];
/// Accepted connections that wait for the server.
const ACCEPT_QUEUE_LEN: usize = 256;
/// How long [`Farm::stop`] waits for connections to close.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failed accept (out of file descriptors). It prevents a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A farm of simulated printers. Dropping it ends all its tasks.
#[derive(Debug)]
pub struct Farm {
    printers: Vec<SimulatedPrinter>,
    control_url: Option<String>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Farm {
    /// Opens the ports and starts the server.
    ///
    /// # Errors
    /// If a port is not available.
    pub async fn start(config: FarmConfig) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let context = Arc::new(FarmContext {
            latency: config.latency,
            flavor: config.flavor,
            started: Instant::now(),
            blobs: BlobStore::default(),
            stop: stop.clone(),
            runtime: Handle::current(),
        });
        let mut files: Vec<_> =
            config.files.iter().map(|(path, content)| (path.as_str(), context.blobs.intern(content.clone()))).collect();
        if config.with_sample_files {
            files
                .extend(SAMPLE_FILES.map(|(path, seconds)| (path, context.blobs.intern(sample_gcode(seconds).into()))));
        }
        let mut printers = Vec::with_capacity(config.printers);
        for index in 0..config.printers {
            let listener = open_listener((Ipv4Addr::LOCALHOST, printer_port(config.base_port, index)?).into())?;
            let printer = SimulatedPrinter::new(index + 1, &config, context.clone(), listener)?;
            for (path, blob) in &files {
                printer.put_blob(path, blob.clone());
            }
            if let Some(path) = &config.selected_file {
                printer.select(path);
            }
            printers.push(printer);
        }
        // A printer that refuses connections closes its port: no other printer may get it.
        for (printer, scenario) in printers.iter().zip(&config.scenarios) {
            printer.begin_scenario(scenario);
        }
        // From here, only the control port can fail, and dropping the farm stops it.
        let mut farm = Self { printers, control_url: None, stop: stop.clone(), tasks: TaskTracker::new() };
        let (sender, connections) = mpsc::channel(ACCEPT_QUEUE_LEN);
        for printer in &farm.printers {
            farm.tasks.spawn(accept_connections(printer.clone(), sender.clone(), stop.clone()));
        }
        let service = api::router().into_make_service_with_connect_info::<ConnectionHandle>();
        let server = axum::serve(AcceptedConnections::new(connections), service)
            .with_graceful_shutdown(stop.clone().cancelled_owned());
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

    /// Returns the printers in the order of their names.
    pub fn printers(&self) -> &[SimulatedPrinter] {
        &self.printers
    }

    /// Returns the URL of the control port, if one is configured.
    pub fn control_url(&self) -> Option<&str> {
        self.control_url.as_deref()
    }

    /// Closes all connections and waits until they are closed.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(STOP_TIMEOUT, self.tasks.wait()).await;
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

fn printer_port(base: Option<u16>, index: usize) -> std::io::Result<u16> {
    let Some(base) = base else { return Ok(0) };
    u16::try_from(index)
        .ok()
        .and_then(|index| base.checked_add(index))
        .ok_or_else(|| std::io::Error::other(format!("no port {index} after {base}: ports end at 65535")))
}

/// Accepts the connections of one printer.
async fn accept_connections(
    printer: SimulatedPrinter,
    sender: mpsc::Sender<(FaultyStream, SocketAddr)>,
    stop: CancellationToken,
) {
    let mut fault = printer.watch_fault();
    loop {
        let connection = tokio::select! {
            () = stop.cancelled() => return,
            // The listener may have been closed or opened again: poll it again.
            changed = fault.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
            connection = std::future::poll_fn(|cx| printer.poll_accept(cx)) => connection,
        };
        match connection {
            Ok((stream, address)) => {
                let _ = stream.set_nodelay(true);
                if sender.send((FaultyStream::new(stream, printer.clone()), address)).await.is_err() {
                    return;
                }
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}
