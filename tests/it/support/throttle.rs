//! A TCP proxy that forwards what a client sends at a limited rate, as a slow network does, or holds requests back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
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

/// How the proxy treats what clients send.
#[derive(Clone, Copy)]
enum Rule {
    BytesPerSecond(u64),
    /// A connection forwards nothing more from a read with this text on.
    HoldFrom(&'static str),
}

/// A running proxy. Dropping it closes its port; connections that exist go on.
pub struct Throttle {
    /// Has no slash at its end.
    pub url: String,
    held: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Throttle {
    /// Starts a proxy before `url`. What clients send is forwarded at this rate, on each connection.
    pub async fn start(url: &str, bytes_per_s: u64) -> Self {
        Self::start_with(url, Rule::BytesPerSecond(bytes_per_s)).await
    }

    /// Starts a proxy before `url` that never forwards requests with this text, as a printer that hangs in them.
    pub async fn start_holding(url: &str, text: &'static str) -> Self {
        Self::start_with(url, Rule::HoldFrom(text)).await
    }

    async fn start_with(url: &str, rule: Rule) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own_url = format!("http://{}", listener.local_addr().expect("an address"));
        let target = url.trim_start_matches("http://").to_owned();
        let held = Arc::new(AtomicUsize::default());
        let counter = held.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), rule, counter.clone()));
            }
        });
        Self { url: own_url, held, task }
    }

    /// Returns whether a client waits for the response to a request that is held back.
    pub fn is_holding(&self) -> bool {
        self.held.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, target: String, rule: Rule, held: Arc<AtomicUsize>) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        loop {
            let step = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
            let bytes_per_s = match rule {
                Rule::BytesPerSecond(rate) => rate,
                Rule::HoldFrom(_) => u64::MAX / step,
            };
            let size = usize::try_from(bytes_per_s * step / 1_000).unwrap_or(1).clamp(1, 1 << 20);
            let mut buffer = vec![0; size];
            let read = from_client.read(&mut buffer).await?;
            if read == 0 {
                return to_server.shutdown().await;
            }
            if let Rule::HoldFrom(text) = rule
                && buffer[..read].windows(text.len()).any(|part| part == text.as_bytes())
            {
                held.fetch_add(1, Ordering::Relaxed);
                while from_client.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
                held.fetch_sub(1, Ordering::Relaxed);
                return Ok(());
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
