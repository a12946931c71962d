//! Texts for users, without their wording: the id of a catalogue entry and its arguments.
//!
//! Layers below `http` create messages and store them. Only `http` has the wording, in each language.

use std::{
    borrow::Cow,
    fmt::{self, Display, Formatter},
};

use serde::{Deserialize, Serialize};

/// The id of a text in the catalogues (`locales/`), and the arguments of that text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    pub id: Cow<'static, str>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<(Cow<'static, str>, Argument)>,
}

/// Returns the text of a message. `http` has such functions, and gives one to the services for the bodies of webhooks.
pub type TextOf = fn(&Message) -> String;

/// An argument of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Argument {
    /// A number, a name or a text of another program. It is shown unchanged.
    Value(String),
    /// A part of the sentence that has its own wording, such as a cause.
    Message(Message),
}

impl Message {
    /// Creates a message without arguments.
    pub const fn new(id: &'static str) -> Self {
        Self { id: Cow::Borrowed(id), arguments: Vec::new() }
    }

    /// Creates a message whose id is computed from a code, such as `reason-job_active`.
    pub fn from_code(kind: &str, code: &str) -> Self {
        Self { id: Cow::Owned(format!("{kind}-{code}")), arguments: Vec::new() }
    }

    /// The text of another program, such as OctoPrint or the operating system. It is shown unchanged.
    pub fn verbatim(text: impl Display) -> Self {
        Self::new("verbatim").with("text", text)
    }

    /// Returns the stored form. It cannot fail for these types.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads the stored form. Any other text is shown unchanged.
    pub fn from_json(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self::verbatim(text))
    }

    /// Adds an argument that is shown unchanged.
    pub fn with(mut self, name: &'static str, value: impl Display) -> Self {
        self.arguments.push((Cow::Borrowed(name), Argument::Value(value.to_string())));
        self
    }

    /// Adds an argument that has its own wording.
    pub fn with_message(mut self, name: &'static str, message: Self) -> Self {
        self.arguments.push((Cow::Borrowed(name), Argument::Message(message)));
        self
    }
}

impl From<&'static str> for Message {
    fn from(id: &'static str) -> Self {
        Self::new(id)
    }
}

/// Writes the id and the arguments, for the log.
impl Display for Message {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        for (name, value) in &self.arguments {
            match value {
                Argument::Value(text) => write!(f, " {name}={text:?}")?,
                Argument::Message(message) => write!(f, " {name}=({message})")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_stored_and_loaded() {
        let message = Message::new("outer").with("n", 3).with_message("cause", Message::verbatim("a \"b\""));
        assert_eq!(Message::from_json(&message.to_json()), message);
        assert_eq!(Message::from_json("a text"), Message::verbatim("a text"));
        assert_eq!(message.to_string(), r#"outer n="3" cause=(verbatim text="a \"b\"")"#);
        assert_eq!(Message::new("plain").to_json(), r#"{"id":"plain"}"#);
    }
}
