//! Destinations of uploads: the library, a printer, a tag or a part.

use axum::{extract::FromRequestParts, http::request::Parts};

use crate::{
    domain::part::Part,
    http::api::{middleware::authentication::Operator, problem::Problem, request::extract::PathParams},
    service::{Services, access::Principal, orders::PrintTarget, printers::PrinterView},
};

/// The destination that the path of a request names.
#[derive(Debug, Clone)]
pub(super) enum Destination {
    Library,
    Printer(Box<PrinterView>),
    Tag(String),
    Part(Box<Part>),
}

/// A caller of role operator, and the destination of the request. The role is checked first. A destination outside the
/// tag limit of the caller does not exist.
pub(super) struct Upload {
    pub who: Principal,
    pub destination: Destination,
}

impl FromRequestParts<Services> for Upload {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, services: &Services) -> Result<Self, Problem> {
        let Operator(who) = Operator::from_request_parts(parts, services).await?;
        let path = PathParams::from_request_parts(parts, services).await?;
        let destination = match (path.get("name"), path.get("tag"), path.get("number")) {
            ("", "", "") => Destination::Library,
            (name, "", "") => Destination::Printer(Box::new(services.printer_by_name(&who, name).await?)),
            (_, tag, "") => {
                if !services.has_tag(&who, tag).await? {
                    return Err(Problem::not_found("tag"));
                }
                Destination::Tag(tag.to_owned())
            }
            (_, _, number) => Destination::Part(Box::new(services.part(&who, number).await?)),
        };
        Ok(Self { who, destination })
    }
}

impl Destination {
    /// Returns the name that a slicer shows for the printer.
    pub fn name(&self) -> &str {
        match self {
            Self::Library => "Printyard",
            Self::Printer(view) => &view.printer.details.name,
            Self::Tag(name) => name,
            Self::Part(part) => &part.number,
        }
    }

    /// Returns where a file is to be printed. `None`: it is only stored.
    pub fn print_target(&self) -> Option<PrintTarget<'_>> {
        match self {
            Self::Library => None,
            Self::Printer(view) => Some(PrintTarget::Printer(&view.printer)),
            Self::Tag(tag) => Some(PrintTarget::Tag(tag)),
            Self::Part(part) => Some(PrintTarget::Part(part)),
        }
    }

    /// Returns the printer, if the destination is one.
    pub fn printer(&self) -> Option<&PrinterView> {
        match self {
            Self::Printer(view) => Some(view),
            Self::Library | Self::Tag(_) | Self::Part(_) => None,
        }
    }
}
