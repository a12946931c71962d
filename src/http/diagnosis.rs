//! Texts of a diagnosis: the problem and the next step.

use std::borrow::Cow;

use crate::{
    domain::message::Message,
    http::messages::text_of,
    service::diagnosis::{Diagnosis, DiagnosisCode},
};

/// Returns the problem in the current language.
pub fn problem_text(diagnosis: &Diagnosis) -> String {
    translate(diagnosis, problem_id(diagnosis.code))
}

/// Returns the next step in the current language: what the user can do about the problem.
pub fn next_step_text(diagnosis: &Diagnosis) -> String {
    translate(diagnosis, next_step_id(diagnosis.code))
}

fn translate(diagnosis: &Diagnosis, id: String) -> String {
    let arguments = diagnosis.arguments.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone()));
    text_of(&Message { id: Cow::Owned(id), arguments: arguments.collect() })
}

fn problem_id(code: DiagnosisCode) -> String {
    match code {
        // The API has one name for both errors.
        DiagnosisCode::ProxyError => "diagnosis-proxy-error".to_owned(),
        _ => format!("diagnosis-{}", code.as_str().replace('_', "-")),
    }
}

fn next_step_id(code: DiagnosisCode) -> String {
    format!("{}-next", problem_id(code))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::http::messages::{Language, has_message};

    #[test]
    fn every_code_has_texts_of_its_own_in_every_language() {
        let ids: HashSet<String> = DiagnosisCode::ALL.into_iter().map(problem_id).collect();
        assert_eq!(ids.len(), DiagnosisCode::ALL.len());
        for code in DiagnosisCode::ALL {
            for language in Language::ALL {
                assert!(
                    has_message(language, &problem_id(code)) && has_message(language, &next_step_id(code)),
                    "{code:?}"
                );
            }
        }
    }
}
