//! Checks whether the time of a refused login reveals that a user name exists. Measures known and unknown names in
//! turn, and compares the medians.
//!
//! `cargo bench --bench login`

use std::time::{Duration, Instant};

use printyard::{
    Server,
    config::RawConfig,
    domain::{access::Role, audit::ActorKind, user::UserDetails},
    service::{
        Services,
        access::Principal,
        sessions::{Browser, LoginResult},
    },
};

/// Logins of each kind. Each uses another name, because repeated logins to one name are slowed down.
const ROUNDS: usize = 40;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let raw = RawConfig {
            database_url: Some(format!("sqlite:{}", folder.path().join("bench.db").display())),
            data_dir: Some(folder.path().to_owned()),
            ..RawConfig::default()
        };
        let server = Server::start(&raw.validate().expect("valid settings")).await.expect("a server");
        let services = &server.services;
        let principal = Principal::server_admin(ActorKind::Terminal);
        for i in 0..ROUNDS {
            let details =
                UserDetails { name: format!("known {i}"), role: Role::Viewer, tags: Vec::new(), enabled: true };
            services.create_user(&principal, details, Some("correct horse battery")).await.expect("a user");
        }
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for i in 0..ROUNDS {
            known.push(time_refused_login(services, &format!("known {i}")).await);
            unknown.push(time_refused_login(services, &format!("nobody {i}")).await);
        }
        let (known, unknown) = (median(known), median(unknown));
        println!("a wrong password for a name that exists   {:.2} ms", known.as_secs_f64() * 1e3);
        println!("a name that nobody has                    {:.2} ms", unknown.as_secs_f64() * 1e3);
        println!("ratio                                     {:.3}", known.as_secs_f64() / unknown.as_secs_f64());
    });
}

async fn time_refused_login(services: &Services, name: &str) -> Duration {
    let started = Instant::now();
    let result = services.log_in(name, "not the right password", Browser::default()).await.expect("no error");
    assert_eq!(result, LoginResult::Refused);
    started.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
