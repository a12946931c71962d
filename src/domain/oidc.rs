//! Single sign-on: provider settings, and the mapping of claims to roles and names.

use serde_json::{Map, Value};
use url::Url;

use super::access::Role;

/// The settings of the identity provider. `Debug` is not derived, because the value contains a secret.
#[derive(Clone)]
pub struct Provider {
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

/// Returns the highest role of the claims. `None`: the claims give no role, so the user cannot log in.
pub fn role_of(provider: &Provider, claims: &Map<String, Value>) -> Option<Role> {
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
    let of = |value: &Value| {
        let mapped = provider.roles.iter().filter(|(name, _)| value.as_str() == Some(name));
        mapped.map(|(_, role)| *role).max()
    };
    values.iter().filter_map(of).max()
}

/// Returns a display name: the first of the usual claims with visible text, otherwise the subject.
pub fn name_of(claims: &Map<String, Value>, subject: &str) -> String {
    let said = ["preferred_username", "name", "email"].iter().filter_map(|claim| claims.get(*claim)?.as_str());
    let tidy = |text: &str| -> String {
        let text: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
        text.trim().to_owned()
    };
    said.chain([subject]).map(tidy).find(|name| !name.is_empty()).unwrap_or_else(|| "somebody".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn provider(claim: &str) -> Provider {
        Provider {
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
        role_of(&provider(claim), claims.as_object().expect("an object"))
    }

    #[test]
    fn the_largest_role_of_a_claim_counts_wherever_it_is() {
        assert_eq!(role("groups", json!({"groups": ["others", "staff", "leads"]})), Some(Role::Admin));
        assert_eq!(role("groups", json!({"groups": "staff"})), Some(Role::Operator));
        assert_eq!(role("realm_access.roles", json!({"realm_access": {"roles": ["staff"]}})), Some(Role::Operator));
    }

    #[test]
    fn a_claim_named_by_a_url_is_found_as_it_is_written() {
        let claim = "https://farm.example/roles";
        assert_eq!(role(claim, json!({claim: ["staff"]})), Some(Role::Operator));
    }

    #[test]
    fn whatever_else_a_claim_says_gives_no_role() {
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
    fn a_name_is_the_first_that_is_one() {
        let name = |claims: Value| name_of(claims.as_object().expect("an object"), "sub-1");
        assert_eq!(name(json!({"preferred_username": " ann\n", "name": "Ann"})), "ann");
        assert_eq!(name(json!({"preferred_username": "\u{7}", "email": "ann@farm.example"})), "ann@farm.example");
        assert_eq!(name(json!({})), "sub-1");
    }
}
