//! Single sign-on settings. They are only valid together.

use url::Url;

use super::{ConfigError, RawConfig, missing_setting};
use crate::domain::{access::Role, oidc::OidcProvider};

/// Returns the settings of the provider. `None`: none of them is set.
pub(super) fn parse_provider(raw: &RawConfig) -> Result<Option<OidcProvider>, ConfigError> {
    let Some(issuer) = raw.oidc_issuer.as_deref().map(str::trim) else {
        let dependent = [
            ("PRINTYARD_OIDC_CLIENT_ID", &raw.oidc_client_id),
            ("PRINTYARD_OIDC_CLIENT_SECRET", &raw.oidc_client_secret),
            ("PRINTYARD_OIDC_ROLES", &raw.oidc_roles),
        ];
        return match dependent.into_iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err(missing_setting("PRINTYARD_OIDC_ISSUER", name)),
            None => Ok(None),
        };
    };
    let with_issuer = |name| move || missing_setting(name, "PRINTYARD_OIDC_ISSUER");
    let address = parse_web_address("PRINTYARD_OIDC_ISSUER", issuer)?;
    let public = raw.public_url.as_deref().ok_or_else(with_issuer("PRINTYARD_PUBLIC_URL"))?;
    let client_id = raw.oidc_client_id.clone().ok_or_else(with_issuer("PRINTYARD_OIDC_CLIENT_ID"))?;
    let roles = raw.oidc_roles.as_deref().ok_or_else(with_issuer("PRINTYARD_OIDC_ROLES"))?;
    let scopes = raw.oidc_scopes.as_deref().unwrap_or("profile email");
    // `openid` is always requested.
    let scopes = scopes.split([' ', ',']).filter(|scope| !scope.is_empty() && *scope != "openid");
    let label = raw.oidc_label.clone().or_else(|| address.host_str().map(str::to_owned));
    Ok(Some(OidcProvider {
        issuer: issuer.to_owned(),
        client_id,
        client_secret: raw.oidc_client_secret.clone(),
        public_url: parse_web_address("PRINTYARD_PUBLIC_URL", public.trim())?,
        label: label.unwrap_or_else(|| "single sign-on".to_owned()),
        scopes: scopes.map(str::to_owned).collect(),
        role_claim: raw.oidc_role_claim.clone().unwrap_or_else(|| "groups".to_owned()),
        roles: roles.split(',').map(parse_role_mapping).collect::<Result<_, _>>()?,
    }))
}

fn parse_web_address(name: &'static str, text: &str) -> Result<Url, ConfigError> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
    url.ok_or_else(|| ConfigError { name, rule: format!("must be an address like https://example.com, and is {text}") })
}

/// Parses `value=role`. The value itself may contain the equals sign.
fn parse_role_mapping(text: &str) -> Result<(String, Role), ConfigError> {
    let parts = text.rsplit_once('=').map(|(value, role)| (value.trim(), Role::parse(role.trim())));
    match parts {
        Some((value, Some(role))) if !value.is_empty() => Ok((value.to_owned(), role)),
        _ => Err(ConfigError {
            name: "PRINTYARD_OIDC_ROLES",
            rule: format!(
                "must be pairs like farm-staff=operator, separated by commas, with viewer, operator, manager or admin \
                 behind the sign, not {:?}",
                text.trim()
            ),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validation_error(raw: RawConfig) -> String {
        raw.validate().map(|_| ()).expect_err("a setting that breaks a rule").to_string()
    }

    fn oidc_config() -> RawConfig {
        let text = |text: &str| Some(text.to_owned());
        RawConfig {
            oidc_issuer: text("https://id.example/realms/farm"),
            oidc_client_id: text("printyard"),
            public_url: text("https://farm.example"),
            oidc_roles: text("cn=leads,ou=x=admin"),
            ..RawConfig::default()
        }
    }

    #[test]
    fn single_sign_on_settings_are_only_valid_together() {
        assert!(validation_error(oidc_config()).contains("not \"cn=leads\""));
        let raw = RawConfig { oidc_roles: Some("a=b=admin, staff = operator".to_owned()), ..oidc_config() };
        let provider = raw.clone().validate().expect("settings").oidc.expect("a provider");
        let roles = vec![("a=b".to_owned(), Role::Admin), ("staff".to_owned(), Role::Operator)];
        assert_eq!((provider.roles, provider.label.as_str()), (roles, "id.example"));
        let error = validation_error(RawConfig { public_url: None, ..raw.clone() });
        assert_eq!(error, "PRINTYARD_PUBLIC_URL: must be given where PRINTYARD_OIDC_ISSUER is");
        let error = validation_error(RawConfig { oidc_issuer: None, ..raw.clone() });
        assert_eq!(error, "PRINTYARD_OIDC_ISSUER: must be given where PRINTYARD_OIDC_CLIENT_ID is");
        assert!(
            validation_error(RawConfig { oidc_issuer: Some("id.example".to_owned()), ..raw })
                .starts_with("PRINTYARD_OIDC_ISSUER")
        );
    }
}
