//! A TCP proxy that forwards what a client sends at a limited rate, as a slow network does.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::wait;

/// How often the proxy forwards.
const STEP: Duration = Duration::from_millis(20);

/// A running proxy. Dropping it closes its port; connections that exist go on.
pub struct Throttle {
    /// Has no slash at its end.
    pub url: String,
    bytes_per_s: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Throttle {
    /// Starts a proxy before `url`. What clients send is forwarded at this rate, on each connection.
    pub async fn start(url: &str, bytes_per_s: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own_url = format!("http://{}", listener.local_addr().expect("an address"));
        let target = url.trim_start_matches("http://").to_owned();
        let rate = Arc::new(AtomicU64::new(bytes_per_s));
        let shared = rate.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), shared.clone()));
            }
        });
        Self { url: own_url, bytes_per_s: rate, task }
    }

    /// Changes the rate, also of connections that exist.
    pub fn set_rate(&self, bytes_per_s: u64) {
        self.bytes_per_s.store(bytes_per_s, Ordering::Relaxed);
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, target: String, rate: Arc<AtomicU64>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        loop {
            let step = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
            let size = usize::try_from(rate.load(Ordering::Relaxed) * step / 1_000).unwrap_or(1).clamp(1, 1 << 20);
            let mut buffer = vec![0; size];
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            to_server.write_all(&buffer[..read]).await?;
            if read == size {
                wait::pause(STEP).await;
            }
        }
    };
    let down = async {
        copy(&mut from_server, &mut to_client).await?;
        to_client.shutdown().await
    };
    // Either side may break the connection.
    let _ = tokio::try_join!(up, down);
}
