//! Signing on through a provider of identities: what a farm says of it, and what its claims mean here.

use serde_json::{Map, Value};
use url::Url;

use super::access::Role;

/// The provider of a farm, as its operator names it. No Debug: it holds a secret.
#[derive(Clone)]
pub struct Provider {
    /// Where its discovery document is, and what its tokens are issued by, to the letter.
    pub issuer: String,
    pub client_id: String,
    /// None: a public client, which PKCE alone protects.
    pub client_secret: Option<String>,
    /// Where browsers find this server: the provider sends them back there.
    pub public_url: Url,
    /// What people call it, on the page of the login.
    pub label: String,
    pub scopes: Vec<String>,
    /// Where in the claims the roles are: names with dots between them, as in `realm_access.roles`.
    pub role_claim: String,
    /// Which value of that claim is which role here.
    pub roles: Vec<(String, Role)>,
}

/// Who somebody is at a provider: the pair never changes and is never given to another (OpenID Connect Core 1.0,
/// section 5.7), unlike names and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub issuer: String,
    pub subject: String,
}

/// The largest role that the claims give. None: they give none, and who has no role has no business here.
pub fn role_of(provider: &Provider, claims: &Map<String, Value>) -> Option<Role> {
    let nested = || {
        let mut steps = provider.role_claim.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.get(step))
    };
    // A claim may be named by a url, whose dots are no steps.
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

/// What to call somebody: the first of the usual claims that fits our rules for names, or the subject.
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
