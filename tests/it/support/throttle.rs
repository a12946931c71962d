//! A TCP proxy that forwards what a client sends at a limited rate, as a slow network does.

use std::time::Duration;

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
    task: JoinHandle<()>,
}

impl Throttle {
    /// Starts a proxy before `url`. What clients send is forwarded at this rate, on each connection.
    pub async fn start(url: &str, bytes_per_s: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let own_url = format!("http://{}", listener.local_addr().expect("an address"));
        let target = url.trim_start_matches("http://").to_owned();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), bytes_per_s));
            }
        });
        Self { url: own_url, task }
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(client: TcpStream, target: String, bytes_per_s: u64) {
    let Ok(server) = TcpStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let up = async {
        loop {
            let step = u64::try_from(STEP.as_millis()).unwrap_or(u64::MAX);
            let size = usize::try_from(bytes_per_s * step / 1_000).unwrap_or(1).clamp(1, 1 << 20);
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
