//! OpenID Connect client for single sign-on: Authorization Code with PKCE.
//!
//! The `openidconnect` crate implements the protocol. This module selects its types and sends its requests through
//! `outbound`. It returns the user's identity and claims. Other modules decide which role and name they give.

mod error;

use std::{future::Future, pin::Pin, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use openidconnect::{
    AccessToken, AccessTokenHash, AdditionalClaims, AuthenticationFlow, AuthorizationCode, ClientId, ClientSecret,
    CsrfToken, EmptyExtraTokenFields, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest, HttpResponse,
    IdTokenFields, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardErrorResponse, StandardTokenResponse, TokenResponse, UserInfoClaims,
    core::{
        CoreAuthDisplay, CoreAuthPrompt, CoreErrorResponseType, CoreGenderClaim, CoreJsonWebKey,
        CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm, CoreProviderMetadata, CoreResponseType,
        CoreRevocableToken, CoreRevocationErrorResponse, CoreTokenIntrospectionResponse, CoreTokenType,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use url::Url;

pub use self::error::Error;
use self::error::HttpError;
use crate::{
    domain::oidc::{CallbackQuery, Identity, OidcProvider, highest_role},
    outbound::{Certificates, Networks, Outbound, Reply},
};

/// The path to which the provider redirects browsers: a route of `http/dashboard/mod.rs`.
const CALLBACK_PATH: &str = "/login/oidc/callback";
/// Time limit for one request to the provider.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// The highest number of bytes in one response of the provider. Documents and key sets have about 10 KB.
const MAX_RESPONSE_BYTES: usize = 512 * 1024;
/// The discovery document is read again after this time, because the provider's keys change.
const METADATA_MAX_AGE: Duration = Duration::from_secs(300);

/// Claims beyond the standard ones. The role is usually one of them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct ExtraClaims(Map<String, Value>);
impl AdditionalClaims for ExtraClaims {}

type TokenFields = IdTokenFields<
    ExtraClaims,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;
type IdTokenResponse = StandardTokenResponse<TokenFields, CoreTokenType>;
/// The client type that is built from a discovery document. Only the authorization endpoint is certain to exist.
type ProviderClient = openidconnect::Client<
    ExtraClaims,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    IdTokenResponse,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Login state that must be stored while the user is at the provider, so that only the same browser can send it back.
/// `Debug` is not derived, because the state is secret.
#[derive(Serialize, Deserialize)]
pub struct LoginState {
    state: String,
    nonce: String,
    verifier: String,
    /// The page that the browser requested before the login.
    pub next: String,
    /// The login must be complete by this time.
    pub until: DateTime<Utc>,
}

/// A user whom the provider has verified.
pub struct VerifiedUser {
    pub identity: Identity,
    pub claims: Map<String, Value>,
}

/// A client of one provider. A clone only increments a reference count.
#[derive(Clone)]
pub struct Oidc(Arc<OidcInner>);

struct OidcInner {
    provider: OidcProvider,
    http: HttpClient,
    /// The discovery document, and when it was read. One task reads it, and the others wait for it.
    metadata: Mutex<Option<(Instant, CoreProviderMetadata)>>,
}

impl Oidc {
    /// Creates a client. It sends no request yet, because the provider may be down while the farm starts.
    ///
    /// # Errors
    /// If the HTTP client cannot be set up.
    pub fn new(provider: OidcProvider, certificates: &Certificates) -> Result<Self, crate::outbound::SetupError> {
        // The list of printer networks does not apply: the provider may be elsewhere, and the operator sets its
        // address.
        let http = HttpClient(Outbound::new(Networks::default())?.with_certificates(certificates)?);
        Ok(Self(Arc::new(OidcInner { provider, http, metadata: Mutex::new(None) })))
    }

    /// Returns the settings of the provider.
    pub fn provider(&self) -> &OidcProvider {
        &self.0.provider
    }

    /// Returns the URL to which the browser is redirected, and the login state that must be stored until it returns.
    /// The login must be complete by `until`.
    ///
    /// # Errors
    /// If the discovery document is not available or not complete.
    pub async fn authorize_url(&self, next: &str, until: DateTime<Utc>) -> Result<(Url, LoginState), Error> {
        let client = self.client(&self.metadata().await?)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let mut request = client.authorize_url(
            AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
            CsrfToken::new_random,
            Nonce::new_random,
        );
        for scope in &self.0.provider.scopes {
            request = request.add_scope(Scope::new(scope.clone()));
        }
        let (url, state, nonce) = request.set_pkce_challenge(challenge).url();
        let login = LoginState {
            state: state.into_secret(),
            nonce: nonce.secret().clone(),
            verifier: verifier.into_secret(),
            next: next.to_owned(),
            until,
        };
        Ok((url, login))
    }

    /// Completes a login. It exchanges the code for a token, and verifies the token's issuer, audience, signature, time
    /// and nonce.
    ///
    /// # Errors
    /// [`Error`]: the response does not belong to this login, the provider refused it, or its data cannot be trusted.
    pub async fn exchange_code(&self, login: LoginState, query: CallbackQuery) -> Result<VerifiedUser, Error> {
        // Only the browser that began the login knows its state. It is compared in constant time.
        let is_same_state =
            |state: &str| subtle::ConstantTimeEq::ct_eq(state.as_bytes(), login.state.as_bytes()).into();
        if !query.state.as_deref().is_some_and(is_same_state) {
            return Err(Error::StateMismatch);
        }
        // The discovery ignores a slash at the end, too.
        let issuer = self.0.provider.issuer.trim_end_matches('/');
        if query.iss.as_ref().is_some_and(|iss| iss.trim_end_matches('/') != issuer) {
            return Err(Error::IssuerMismatch);
        }
        if let Some(error) = query.error {
            return Err(Error::Refused { code: error, description: query.error_description });
        }
        let code = query.code.ok_or(Error::NoCode)?;
        let metadata = self.metadata().await?;
        let client = self.client(&metadata)?;
        let response = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| Error::Incomplete("token_endpoint"))?
            .set_pkce_verifier(PkceCodeVerifier::new(login.verifier))
            .request_async(&self.0.http)
            .await?;
        let nonce = Nonce::new(login.nonce);
        match self.verify_token(&client, &response, &nonce) {
            // The provider's keys may have changed since the discovery document was read.
            Err(Error::Token(_)) => {
                *timeout(REQUEST_TIMEOUT, self.0.metadata.lock()).await.map_err(|_| Error::Busy)? = None;
                let client = self.client(&self.metadata().await?)?;
                let user = self.verify_token(&client, &response, &nonce)?;
                self.add_userinfo_claims(&client, response.access_token(), user).await
            }
            verified => self.add_userinfo_claims(&client, response.access_token(), verified?).await,
        }
    }

    /// Verifies a token, and returns its identity and claims.
    fn verify_token(
        &self,
        client: &ProviderClient,
        response: &IdTokenResponse,
        nonce: &Nonce,
    ) -> Result<VerifiedUser, Error> {
        use CoreJwsSigningAlgorithm as A;
        let token = response.id_token().ok_or(Error::Incomplete("id_token"))?;
        // Only signatures that no other party can create. Shared secrets and unsigned tokens are refused.
        let verifier = client.id_token_verifier().set_allowed_algs([
            A::RsaSsaPkcs1V15Sha256,
            A::RsaSsaPkcs1V15Sha384,
            A::RsaSsaPkcs1V15Sha512,
            A::RsaSsaPssSha256,
            A::RsaSsaPssSha384,
            A::RsaSsaPssSha512,
            A::EcdsaP256Sha256,
            A::EcdsaP384Sha384,
            A::EdDsa,
        ]);
        let claims = token.claims(&verifier, nonce)?;
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = token.signing_alg().map_err(|_| Error::Incomplete("alg"))?;
            let key = token.signing_key(&verifier).map_err(|_| Error::Incomplete("kid"))?;
            let actual = AccessTokenHash::from_token(response.access_token(), algorithm, key);
            if !actual.is_ok_and(|actual| actual == *expected) {
                return Err(Error::AccessTokenMismatch);
            }
        }
        let identity = Identity { issuer: claims.issuer().to_string(), subject: claims.subject().as_str().to_owned() };
        Ok(VerifiedUser { identity, claims: claims_to_map(claims)? })
    }

    /// Adds the claims of the userinfo endpoint, if the token's claims contain no role.
    async fn add_userinfo_claims(
        &self,
        client: &ProviderClient,
        token: &AccessToken,
        mut user: VerifiedUser,
    ) -> Result<VerifiedUser, Error> {
        if highest_role(&self.0.provider, &user.claims).is_some() {
            return Ok(user);
        }
        let subject = openidconnect::SubjectIdentifier::new(user.identity.subject.clone());
        let Ok(request) = client.user_info(token.clone(), Some(subject)) else { return Ok(user) };
        let userinfo: UserInfoClaims<ExtraClaims, CoreGenderClaim> = request.request_async(&self.0.http).await?;
        for (name, value) in claims_to_map(&userinfo)? {
            user.claims.entry(name).or_insert(value);
        }
        Ok(user)
    }

    fn client(&self, metadata: &CoreProviderMetadata) -> Result<ProviderClient, Error> {
        let provider = &self.0.provider;
        // Exactly this URL must be registered at the provider.
        let callback_url = format!("{}{CALLBACK_PATH}", provider.public_url.as_str().trim_end_matches('/'));
        let redirect_url = RedirectUrl::new(callback_url).map_err(|_| Error::Incomplete("redirect_uri"))?;
        let secret = provider.client_secret.clone().map(ClientSecret::new);
        let id = ClientId::new(provider.client_id.clone());
        Ok(ProviderClient::from_provider_metadata(metadata.clone(), id, secret).set_redirect_uri(redirect_url))
    }

    async fn metadata(&self) -> Result<CoreProviderMetadata, Error> {
        let mut cached = timeout(REQUEST_TIMEOUT, self.0.metadata.lock()).await.map_err(|_| Error::Busy)?;
        if let Some((_, metadata)) = cached.as_ref().filter(|(at, _)| at.elapsed() < METADATA_MAX_AGE) {
            return Ok(metadata.clone());
        }
        let issuer = IssuerUrl::new(self.0.provider.issuer.clone()).map_err(|_| Error::Incomplete("issuer"))?;
        let metadata = CoreProviderMetadata::discover_async(issuer, &self.0.http).await?;
        *cached = Some((Instant::now(), metadata.clone()));
        Ok(metadata)
    }
}

fn claims_to_map(claims: &impl Serialize) -> Result<Map<String, Value>, Error> {
    match serde_json::to_value(claims) {
        Ok(Value::Object(map)) => Ok(map),
        _ => Err(Error::Incomplete("claims")),
    }
}

/// HTTP client for the provider, with an address guard, a size limit and a timeout, and without redirects.
struct HttpClient(Outbound);

impl<'c> openidconnect::AsyncHttpClient<'c> for HttpClient {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move {
            let request = request.try_into().map_err(HttpError::Request)?;
            let deadline = Instant::now() + REQUEST_TIMEOUT;
            let response =
                timeout(REQUEST_TIMEOUT, self.0.execute(request)).await.map_err(|_| HttpError::TimedOut)??;
            let reply = Reply::from(response);
            let (status, headers) = (reply.status(), reply.headers().clone());
            let mut response = HttpResponse::new(reply.bytes(MAX_RESPONSE_BYTES, deadline).await?.to_vec());
            *response.status_mut() = status;
            *response.headers_mut() = headers;
            Ok(response)
        })
    }
}
