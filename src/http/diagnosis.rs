//! Sentences of a diagnosis: what is wrong, and the next step.

use crate::{
    domain::text::fill,
    service::diagnosis::{Code, Diagnosis},
};

/// What is wrong and what to do, in English, with the names of arguments in braces.
pub fn sentences(code: Code) -> (&'static str, &'static str) {
    match code {
        Code::NameNotFound => (
            "The name {host} is not known to this server's network.",
            "Check how it is spelled, or write the printer's IP address instead. Names that end in .local need mDNS on \
             this server, which containers mostly lack.",
        ),
        Code::ConnectionRefused => (
            "{host} is there, but nothing listens on its port {port}.",
            "Start OctoPrint there, or correct the port: OctoPrint itself has 5000, behind its usual web server it is \
             80.",
        ),
        Code::NoConnection => (
            "{host} does not answer: no connection within 3 s.",
            "Check that it is switched on and on the network, that the IP address is right, and that no firewall is in \
             between.",
        ),
        Code::NoRoute => (
            "There is no route from this server to {host}.",
            "Check that it is switched on, that the IP address is right, and that this server is on a network from \
             which it can be reached.",
        ),
        Code::Offline => (
            "{host} could not be reached: {detail}.",
            "Check that it is switched on, that OctoPrint runs there, and that the address is right.",
        ),
        Code::BlockedAddress => (
            "{host} is not contacted: it is in a network that this server must not connect to.",
            "If the printer really is there, the person who runs this server can allow its network by \
             PRINTYARD_PRINTER_NETWORKS.",
        ),
        Code::TlsNotSpoken => (
            "{host} does not speak HTTPS on port {port}.",
            "Begin the address with http:// instead, or name the port that has HTTPS.",
        ),
        Code::TlsUntrusted => (
            "The certificate of {host} is not trusted: it is self-signed, or of an authority that this server does not \
             know.",
            "Paste the CA certificate (or the self-signed certificate itself) under “Proxy, TLS, camera”, or use \
             http:// within your own network.",
        ),
        Code::TlsOtherAuthority => (
            "The certificate of {host} was not issued by the CA certificate that was pasted.",
            "Paste the certificate of the authority that issued it, or the certificate of {host} itself.",
        ),
        Code::TlsOutOfTime => (
            "The certificate of {host} has expired, or is not valid yet.",
            "Renew the certificate there, and check that the clocks of both machines are right.",
        ),
        Code::TlsOtherName => (
            "The certificate of {host} is for another name.",
            "Write the address with the name of the certificate, or issue a certificate for {host}.",
        ),
        Code::TlsFailed => (
            "HTTPS with {host} failed: {detail}.",
            "Check that the port is the one for HTTPS, or begin the address with http://.",
        ),
        Code::Timeout => (
            "{host} took the connection, but gave no answer within {seconds} s.",
            "OctoPrint there hangs, or is very busy. Open it in a browser; if that stays empty, restart it.",
        ),
        Code::ConnectionLost => (
            "{host} closed the connection before it had answered.",
            "Test again in a minute: it may be starting. If the error stays, check that the port is that of OctoPrint, \
             and whether the address has to begin with https://.",
        ),
        Code::ProxyLogin => (
            "A web server in front of OctoPrint at {host} refuses access: it wants a user and a password, or a header.",
            "Enter them under “Proxy, TLS, camera”. OctoPrint's own password is not meant.",
        ),
        Code::ProxyRefused => (
            "The web server in front of OctoPrint at {host} does not accept the user and password, or the headers, that were \
             given.",
            "Check them under “Proxy, TLS, camera”. They are those of the web server, not those of OctoPrint.",
        ),
        Code::ProxyError => (
            "The web server of {host} answers, but OctoPrint behind it does not ({detail}).",
            "Start OctoPrint there, wait until its own page comes, and test again.",
        ),
        Code::Redirected => ("{host} redirects to {suggested_url}.", "Use this address: {suggested_url}"),
        Code::RedirectedElsewhere => (
            "{host} redirects to {detail}, which is not OctoPrint's.",
            "A web server in front of OctoPrint may want a login: give it the user and password or the header that it \
             accepts, under “Proxy, TLS, camera”. Otherwise check the address in a browser.",
        ),
        Code::ServerError => (
            "{host} failed with an error of its own ({detail}).",
            "See what octoprint.log says there, and whether this is the address of an OctoPrint.",
        ),
        Code::InvalidRequest => {
            ("The request to {host} could not be made: {detail}.", "Check how the address is written.")
        }
        Code::NotOctoPrint => (
            "The server at {host}, port {port}, does not answer as an OctoPrint does: {detail}.",
            "Open the address in a browser: OctoPrint's own page has to come. Check its port, its path, and whether it \
             begins with https://. If OctoPrint is just starting, wait half a minute.",
        ),
        Code::KeyWanted => (
            "OctoPrint answers at {host}, and wants an API key.",
            "Let this page ask OctoPrint for a key, or make one in OctoPrint's Settings, Application Keys, and enter it \
             here.",
        ),
        Code::WrongKey => (
            "OctoPrint at {host} does not accept this API key.",
            "Copy the whole key again from OctoPrint's Settings, Application Keys; or let this page ask OctoPrint for a \
             new one.",
        ),
        Code::MissingPermissions => (
            "The key works, but its user {user} lacks permissions: {missing}.",
            "In OctoPrint's Settings, Access Control, put the user into the group Operator, or give it these \
             permissions. Then test again.",
        ),
        Code::NoEvents => (
            "The printer works, without events: its event socket, or the login for it, fails.",
            "The printer is polled, which is slower. A proxy in front of it must pass POST /api/login and the websocket \
             /sockjs/websocket.",
        ),
        Code::NoAppKeys => (
            "{host} does not support application-key requests.",
            "If this is an OctoPrint, switch on its bundled plugin Application Keys, or copy a key from its Settings \
             by hand.",
        ),
        Code::TooManyRequests => (
            "OctoPrint at {host} was asked for keys too often: it takes three requests a minute and ten an hour.",
            "Wait a few minutes and ask again, or copy a key from its Settings by hand.",
        ),
        Code::AskingRefused => (
            "{host} does not let this server ask for a key.",
            "If OctoPrint there is new, finish its set-up in a browser first.",
        ),
    }
}

impl Diagnosis {
    /// A sentence in any language with the arguments of this diagnosis.
    pub fn fill(&self, sentence: &str) -> String {
        let arguments: Vec<(&str, &dyn std::fmt::Display)> =
            self.arguments.iter().map(|(name, value)| (*name, value as &dyn std::fmt::Display)).collect();
        fill(sentence, &arguments)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_sentences_of_its_own() {
        let all: HashSet<_> = Code::ALL.into_iter().map(sentences).collect();
        assert_eq!(all.len(), Code::ALL.len());
    }
}
