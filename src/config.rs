//! Configuration: flags first, then `PRINTYARD_*`, then `printyard.toml`, then the defaults.
//!
//! All settings are read and validated at the start. An error is one clear sentence. Empty variables count as not set,
//! because container files set unused variables to empty texts.

mod oidc;
mod parse;
mod settings;
mod staff_hours;
mod start_stagger;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Deserialize;

pub use self::{settings::Settings, start_stagger::StartStagger};

use self::parse::{parse_days, parse_networks, parse_number, parse_switch, parse_time_zone};
use crate::domain::{farm_staff::FarmStaff, oidc::OidcProvider};

/// The settings file in the working directory.
const CONFIG_FILE: &str = "printyard.toml";
const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const DEFAULT_DATABASE_URL: &str = "sqlite:printyard.db";
/// The admin token is always valid, so it must resist guessing.
const MIN_ADMIN_TOKEN_LEN: usize = 16;

/// Settings of the command line, the environment and the file, before validation. The README lists them.
// No `Debug`: it contains the secret key and the admin token.
#[derive(Clone, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawConfig {
    /// Address and port to listen on [default: 127.0.0.1:8080]
    #[arg(long, env = "PRINTYARD_LISTEN")]
    pub listen: Option<String>,
    /// `sqlite:FILE` or `postgres://…` [default: sqlite:printyard.db]
    #[arg(long, env = "PRINTYARD_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Folder for the secret key and other files [default: the working directory]
    #[arg(long, env = "PRINTYARD_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Key that seals the printers' API keys: 32 bytes as hexadecimal digits or base64; former keys follow, separated
    /// by commas [default: a file in the data folder]
    #[arg(long, env = "PRINTYARD_SECRET_KEY", hide_env_values = true)]
    pub secret_key: Option<String>,
    /// An admin API token that is always valid, for unattended set-up
    #[arg(long, env = "PRINTYARD_ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<String>,
    /// Networks to which printer connections are allowed, as comma-separated CIDRs [default: all except link-local and
    /// metadata]
    #[arg(long, env = "PRINTYARD_PRINTER_NETWORKS")]
    pub printer_networks: Option<String>,
    /// Networks to which webhook connections are allowed, as comma-separated CIDRs [default: all except link-local and
    /// metadata]
    #[arg(long, env = "PRINTYARD_WEBHOOK_NETWORKS")]
    pub webhook_networks: Option<String>,
    /// Certificates of additional authorities, as a PEM file: trusted for printers, webhooks and single sign-on, in
    /// addition to the system's
    #[arg(long, env = "PRINTYARD_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// Whether an occupied plate blocks a start: on or off [default: on]
    #[arg(long, env = "PRINTYARD_PLATE_GATE")]
    pub plate_gate: Option<String>,
    /// Whether users can search the network for printers (mDNS): on or off [default: on]
    #[arg(long, env = "PRINTYARD_DISCOVERY")]
    pub discovery: Option<String>,
    /// Seconds without progress after which a print counts as stalled [default: 300]
    #[arg(long, env = "PRINTYARD_STALL_AFTER_S")]
    pub stall_after_s: Option<String>,
    /// Days for which audit entries are kept [default: 730]
    #[arg(long, env = "PRINTYARD_AUDIT_DAYS")]
    pub audit_days: Option<String>,
    /// Days for which prints are kept; statistics keep their sums [default: 1825]
    #[arg(long, env = "PRINTYARD_PRINT_RETENTION_DAYS")]
    pub print_retention_days: Option<String>,
    /// Gigabytes (10^9 bytes) that the files of the library may have together [default: 50]
    #[arg(long, env = "PRINTYARD_FILES_QUOTA_GB")]
    pub files_quota_gb: Option<String>,
    /// Maximum number of files that are sent to printers at the same time [default: 8]
    #[arg(long, env = "PRINTYARD_MAX_TRANSFERS")]
    pub max_transfers: Option<String>,
    /// Whether files may be sent to a printer that prints: on or off. OctoPrint can pause between lines meanwhile
    /// [default: off]
    #[arg(long, env = "PRINTYARD_TRANSFER_WHILE_PRINTING")]
    pub transfer_while_printing: Option<String>,
    /// Stagger that the start sheet proposes, as `at_once=10,delay_s=30,heating=4` [default: none, all at once]
    #[arg(long, env = "PRINTYARD_START_STAGGER")]
    pub start_stagger: Option<String>,
    /// Time zone of the days in statistics and of the dates in the list of prints, as an IANA name like Europe/Berlin
    /// [default: UTC]
    #[arg(long, env = "PRINTYARD_TIME_ZONE")]
    pub time_zone: Option<String>,
    /// Weekly hours in which people clear plates, for the farm and for tags, as in
    /// `mo-fr 06:00-22:00 | hall-a (Europe/Berlin): mo-fr 06:00-22:00; sa 08:00-12:00` [default: none, people are always
    /// there]
    #[arg(long, env = "PRINTYARD_STAFF_HOURS")]
    pub staff_hours: Option<String>,
    /// Certificate of the server, with its chain, as a PEM file; the server then accepts HTTPS only
    #[arg(long, env = "PRINTYARD_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate, as a PEM file
    #[arg(long, env = "PRINTYARD_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Proxies whose X-Forwarded-For and X-Forwarded-Proto are trusted, as comma-separated CIDRs [default: none]
    #[arg(long, env = "PRINTYARD_TRUSTED_PROXIES")]
    pub trusted_proxies: Option<String>,
    /// URL of this server for browsers, as in `https://farm.example.com`; required for single sign-on
    #[arg(long, env = "PRINTYARD_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// Issuer of the OpenID Connect provider for single sign-on, as in `https://id.example.com`
    #[arg(long, env = "PRINTYARD_OIDC_ISSUER")]
    pub oidc_issuer: Option<String>,
    /// Client id of this server at the provider
    #[arg(long, env = "PRINTYARD_OIDC_CLIENT_ID")]
    pub oidc_client_id: Option<String>,
    /// Client secret for the client id [default: none, a public client]
    #[arg(long, env = "PRINTYARD_OIDC_CLIENT_SECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<String>,
    /// Name of the provider on the login page [default: its host]
    #[arg(long, env = "PRINTYARD_OIDC_LABEL")]
    pub oidc_label: Option<String>,
    /// Scopes that are requested from the provider [default: openid profile email]
    #[arg(long, env = "PRINTYARD_OIDC_SCOPES")]
    pub oidc_scopes: Option<String>,
    /// Claim that contains the roles; dots lead into nested claims [default: groups]
    #[arg(long, env = "PRINTYARD_OIDC_ROLE_CLAIM")]
    pub oidc_role_claim: Option<String>,
    /// Values of that claim and their roles, as in farm-leads=admin,farm-staff=operator
    #[arg(long, env = "PRINTYARD_OIDC_ROLES")]
    pub oidc_roles: Option<String>,
}

/// Validated settings.
#[derive(Clone)]
pub struct Config {
    pub listen: SocketAddr,
    pub database_url: String,
    pub data_dir: PathBuf,
    pub secret_key: Option<String>,
    pub admin_token: Option<String>,
    /// Comma-separated CIDRs; `None` means the default.
    pub printer_networks: Option<String>,
    /// Like `printer_networks`, for receivers of webhooks.
    pub webhook_networks: Option<String>,
    /// `None`: only the system's certificates are trusted.
    pub ca_file: Option<PathBuf>,
    pub settings: Settings,
    /// When plates get cleared.
    pub staff: FarmStaff,
    /// `None`: plain HTTP.
    pub tls: Option<TlsFiles>,
    pub trusted_proxies: Vec<IpNet>,
    /// `None`: users log in only with a password.
    pub oidc: Option<OidcProvider>,
}

/// Paths of the server's certificate and its private key.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// An invalid setting. The text is for the person at the terminal.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {rule}")]
pub struct ConfigError {
    name: &'static str,
    rule: String,
}

impl RawConfig {
    /// Adds missing settings from `printyard.toml`, if the file exists.
    pub fn with_file(self) -> Result<Self, ConfigError> {
        let text = match std::fs::read_to_string(CONFIG_FILE) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            Err(error) => return Err(ConfigError { name: CONFIG_FILE, rule: format!("cannot be read: {error}") }),
        };
        let file: Self = toml::from_str(&text)
            .map_err(|error| ConfigError { name: CONFIG_FILE, rule: error.message().to_owned() })?;
        Ok(self.with_fallback(file))
    }

    fn with_fallback(self, other: Self) -> Self {
        let text = |a: Option<String>, b: Option<String>| a.filter(|text| !text.trim().is_empty()).or(b);
        let path = |a: Option<PathBuf>, b: Option<PathBuf>| a.filter(|path| !path.as_os_str().is_empty()).or(b);
        Self {
            listen: text(self.listen, other.listen),
            database_url: text(self.database_url, other.database_url),
            data_dir: path(self.data_dir, other.data_dir),
            secret_key: text(self.secret_key, other.secret_key),
            admin_token: text(self.admin_token, other.admin_token),
            printer_networks: text(self.printer_networks, other.printer_networks),
            webhook_networks: text(self.webhook_networks, other.webhook_networks),
            ca_file: path(self.ca_file, other.ca_file),
            plate_gate: text(self.plate_gate, other.plate_gate),
            discovery: text(self.discovery, other.discovery),
            stall_after_s: text(self.stall_after_s, other.stall_after_s),
            audit_days: text(self.audit_days, other.audit_days),
            print_retention_days: text(self.print_retention_days, other.print_retention_days),
            files_quota_gb: text(self.files_quota_gb, other.files_quota_gb),
            max_transfers: text(self.max_transfers, other.max_transfers),
            transfer_while_printing: text(self.transfer_while_printing, other.transfer_while_printing),
            start_stagger: text(self.start_stagger, other.start_stagger),
            time_zone: text(self.time_zone, other.time_zone),
            staff_hours: text(self.staff_hours, other.staff_hours),
            tls_cert: path(self.tls_cert, other.tls_cert),
            tls_key: path(self.tls_key, other.tls_key),
            trusted_proxies: text(self.trusted_proxies, other.trusted_proxies),
            public_url: text(self.public_url, other.public_url),
            oidc_issuer: text(self.oidc_issuer, other.oidc_issuer),
            oidc_client_id: text(self.oidc_client_id, other.oidc_client_id),
            oidc_client_secret: text(self.oidc_client_secret, other.oidc_client_secret),
            oidc_label: text(self.oidc_label, other.oidc_label),
            oidc_scopes: text(self.oidc_scopes, other.oidc_scopes),
            oidc_role_claim: text(self.oidc_role_claim, other.oidc_role_claim),
            oidc_roles: text(self.oidc_roles, other.oidc_roles),
        }
    }

    /// Validates the settings.
    pub fn validate(self) -> Result<Config, ConfigError> {
        let raw = self.with_fallback(Self::default());
        let listen = raw.listen.as_deref().unwrap_or(DEFAULT_LISTEN);
        let listen = listen.parse().map_err(|_| ConfigError {
            name: "PRINTYARD_LISTEN",
            rule: format!("must be an address and a port like 127.0.0.1:8080, and is {listen}"),
        })?;
        let plate_gate = parse_switch("PRINTYARD_PLATE_GATE", raw.plate_gate.as_deref())?;
        let discovery = parse_switch("PRINTYARD_DISCOVERY", raw.discovery.as_deref())?;
        let mut settings = Settings { plate_gate, discovery, ..Settings::default() };
        if let Some(text) = &raw.audit_days {
            settings.audit_retention = parse_days("PRINTYARD_AUDIT_DAYS", text)?;
        }
        if let Some(text) = &raw.print_retention_days {
            settings.print_retention = parse_days("PRINTYARD_PRINT_RETENTION_DAYS", text)?;
        }
        if let Some(text) = &raw.stall_after_s {
            let seconds = text.parse::<u64>().ok().filter(|s| (10..=86_400).contains(s)).ok_or(ConfigError {
                name: "PRINTYARD_STALL_AFTER_S",
                rule: format!("must be 10 to 86400 seconds, and is {text}"),
            })?;
            settings.stall_after = Duration::from_secs(seconds);
        }
        if let Some(text) = &raw.files_quota_gb {
            settings.files_quota = parse_number("PRINTYARD_FILES_QUOTA_GB", text, 1, 1_000_000)? * 1_000_000_000;
        }
        if let Some(text) = &raw.max_transfers {
            let number = parse_number("PRINTYARD_MAX_TRANSFERS", text, 1, 1_000)?;
            settings.max_transfers = usize::try_from(number).unwrap_or(usize::MAX);
        }
        settings.transfer_while_printing = match raw.transfer_while_printing.as_deref() {
            None => false,
            given => parse_switch("PRINTYARD_TRANSFER_WHILE_PRINTING", given)?,
        };
        if let Some(text) = &raw.start_stagger {
            settings.start_stagger = StartStagger::parse(text)?;
        }
        if let Some(name) = &raw.time_zone {
            settings.calendar = parse_time_zone("PRINTYARD_TIME_ZONE", name)?;
        }
        let staff = match &raw.staff_hours {
            Some(text) => staff_hours::parse(text, settings.calendar)?,
            None => FarmStaff::default(),
        };
        if raw.admin_token.as_ref().is_some_and(|token| token.len() < MIN_ADMIN_TOKEN_LEN) {
            let rule = format!("must be at least {MIN_ADMIN_TOKEN_LEN} characters long");
            return Err(ConfigError { name: "PRINTYARD_ADMIN_TOKEN", rule });
        }
        if raw.admin_token.as_ref().is_some_and(|token| zxcvbn::zxcvbn(token, &[]).score() < zxcvbn::Score::Three) {
            let rule =
                "is too easy to guess: use random characters, for example those of openssl rand -hex 32".to_owned();
            return Err(ConfigError { name: "PRINTYARD_ADMIN_TOKEN", rule });
        }
        let oidc = oidc::parse_provider(&raw)?;
        Ok(Config {
            listen,
            oidc,
            database_url: raw.database_url.unwrap_or_else(|| DEFAULT_DATABASE_URL.to_owned()),
            data_dir: raw.data_dir.unwrap_or_else(|| PathBuf::from(".")),
            secret_key: raw.secret_key,
            admin_token: raw.admin_token,
            printer_networks: raw.printer_networks,
            webhook_networks: raw.webhook_networks,
            ca_file: raw.ca_file,
            settings,
            staff,
            tls: check_tls_files(raw.tls_cert, raw.tls_key)?,
            trusted_proxies: parse_networks(
                "PRINTYARD_TRUSTED_PROXIES",
                raw.trusted_proxies.as_deref().unwrap_or_default(),
            )?,
        })
    }
}

/// Returns both files or neither. With only one of them, the server would use plain HTTP although HTTPS was intended.
fn check_tls_files(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Option<TlsFiles>, ConfigError> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles { certificate, key })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(missing_setting("PRINTYARD_TLS_KEY", "PRINTYARD_TLS_CERT")),
        (None, Some(_)) => Err(missing_setting("PRINTYARD_TLS_CERT", "PRINTYARD_TLS_KEY")),
    }
}

fn missing_setting(name: &'static str, other: &str) -> ConfigError {
    ConfigError { name, rule: format!("must be given where {other} is") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_variables_count_as_not_given() {
        let raw = RawConfig { listen: Some(String::new()), admin_token: Some(" ".to_owned()), ..RawConfig::default() };
        let config = raw.validate().expect("defaults hold");
        assert_eq!(config.listen.to_string(), DEFAULT_LISTEN);
        assert!(config.admin_token.is_none());
    }

    #[test]
    fn an_error_names_the_invalid_setting() {
        let raw = RawConfig { plate_gate: Some("maybe".to_owned()), ..RawConfig::default() };
        let error = raw.validate().map(|_| ()).expect_err("maybe is no answer").to_string();
        assert_eq!(error, "PRINTYARD_PLATE_GATE: must be on or off, and is maybe");
    }

    fn validation_error(raw: RawConfig) -> String {
        raw.validate().map(|_| ()).expect_err("a setting that breaks a rule").to_string()
    }

    #[test]
    fn a_certificate_needs_its_key_and_a_key_its_certificate() {
        let file = Some(PathBuf::from("a.pem"));
        let error = validation_error(RawConfig {
            tls_cert: file.clone(),
            tls_key: Some(PathBuf::new()),
            ..RawConfig::default()
        });
        assert_eq!(error, "PRINTYARD_TLS_KEY: must be given where PRINTYARD_TLS_CERT is");
        let error = validation_error(RawConfig { tls_key: file, ..RawConfig::default() });
        assert_eq!(error, "PRINTYARD_TLS_CERT: must be given where PRINTYARD_TLS_KEY is");
    }

    #[test]
    fn trusted_proxies_are_networks_or_addresses() {
        let raw = |text: &str| RawConfig { trusted_proxies: Some(text.to_owned()), ..RawConfig::default() };
        let config = raw("10.0.0.1/24, ::1").validate().expect("networks");
        let read: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(read, ["10.0.0.0/24", "::1/128"]);
        assert!(validation_error(raw("10.0.0.0/24,nginx")).contains("not nginx"));
    }

    #[test]
    fn flags_and_variables_win_over_the_file() {
        let file =
            RawConfig { listen: Some("1.1.1.1:1".into()), plate_gate: Some("off".into()), ..RawConfig::default() };
        let raw = RawConfig { listen: Some("2.2.2.2:2".into()), ..RawConfig::default() }.with_fallback(file);
        assert_eq!((raw.listen.as_deref(), raw.plate_gate.as_deref()), (Some("2.2.2.2:2"), Some("off")));
    }
}
