//! Single sign-on: provider settings, and the mapping of claims to roles and names.

use serde::Deserialize;
use serde_json::{Map, Value};
use url::Url;

use super::access::Role;

/// The settings of the identity provider. `Debug` is not derived, because the value contains a secret.
#[derive(Clone)]
pub struct OidcProvider {
    /// Base URL of the discovery document, and the exact issuer of the tokens.
    pub issuer: String,
    pub client_id: String,
    /// `None`: a public client, which is protected by PKCE only.
    pub client_secret: Option<String>,
    /// The URL of this server for browsers. The provider redirects browsers to it.
    pub public_url: Url,
    /// The provider's name on the login page.
    pub label: String,
    pub scopes: Vec<String>,
    /// Path of the roles in the claims: names separated by dots, as in `realm_access.roles`.
    pub role_claim: String,
    /// Values of that claim, each with its role.
    pub roles: Vec<(String, Role)>,
}

/// A user at a provider. The pair never changes and is never given to another user (OpenID Connect Core 1.0, section
/// 5.7). Names and addresses may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
}

/// Parameters of the redirect from the provider to this server.
#[derive(Default, Deserialize)]
pub struct CallbackQuery {
    pub code: Option<String>,
    pub state: Option<String>,
    /// The issuer that redirects (RFC 9207).
    pub iss: Option<String>,
    /// Error code of the provider (RFC 6749, section 4.1.2.1).
    pub error: Option<String>,
    pub error_description: Option<String>,
}

/// Returns the highest role of the claims. `None`: the claims give no role, so the user cannot log in.
pub fn highest_role(provider: &OidcProvider, claims: &Map<String, Value>) -> Option<Role> {
    let nested = || {
        let mut steps = provider.role_claim.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    };
    // The name of a claim may be a URL, whose dots do not separate names.
    let values = match claims.get(&provider.role_claim).or_else(nested)? {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    let role_for = |value: &Value| {
        let mapped = provider.roles.iter().filter(|(name, _)| value.as_str() == Some(name));
        mapped.map(|(_, role)| *role).max()
    };
    values.iter().filter_map(role_for).max()
}

/// Returns a display name: the first of the usual claims with visible text, otherwise the subject.
pub fn display_name(claims: &Map<String, Value>, subject: &str) -> String {
    let claimed_names = ["preferred_username", "name", "email"].iter().filter_map(|claim| claims.get(*claim)?.as_str());
    let clean = |text: &str| -> String {
        let text: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        text.trim().to_owned()
    };
    claimed_names.chain([subject]).map(clean).find(|name| !name.is_empty()).unwrap_or_else(|| "user".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(claim: &str) -> OidcProvider {
        OidcProvider {
            issuer: "https://id.example".to_owned(),
            client_id: "printyard".to_owned(),
            client_secret: None,
            public_url: "https://farm.example".parse().expect("a url"),
            label: "Example".to_owned(),
            scopes: Vec::new(),
            role_claim: claim.to_owned(),
            roles: vec![("staff".to_owned(), Role::Operator), ("leads".to_owned(), Role::Admin)],
        }
    }

    fn role(claim: &str, claims: Value) -> Option<Role> {
        highest_role(&provider(claim), claims.as_object().expect("an object"))
    }

    #[test]
    fn the_highest_role_of_a_claim_counts_even_if_nested() {
        assert_eq!(role("groups", json!({"groups": ["others", "staff", "leads"]})), Some(Role::Admin));
        assert_eq!(role("groups", json!({"groups": "staff"})), Some(Role::Operator));
        assert_eq!(role("realm_access.roles", json!({"realm_access": {"roles": ["staff"]}})), Some(Role::Operator));
    }

    #[test]
    fn dots_in_a_claim_named_by_a_url_do_not_separate_names() {
        let claim = "https://farm.example/roles";
        assert_eq!(role(claim, json!({claim: ["staff"]})), Some(Role::Operator));
    }

    #[test]
    fn unmapped_claim_values_give_no_role() {
        for claims in [
            json!({}),
            json!({"groups": ["Staff", "staff "]}),
            json!({"groups": {"staff": true}}),
            json!({"groups": 1}),
        ] {
            assert_eq!(role("groups", claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn the_display_name_is_the_first_claim_with_visible_text() {
        let name = |claims: Value| display_name(claims.as_object().expect("an object"), "sub-1");
        assert_eq!(name(json!({"preferred_username": " ann\n", "name": "Ann"})), "ann");
        assert_eq!(name(json!({"preferred_username": "\u{7}", "email": "ann@farm.example"})), "ann@farm.example");
        assert_eq!(name(json!({})), "sub-1");
    }
}
