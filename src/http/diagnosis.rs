//! Texts of a diagnosis: the problem and the next step.

use std::fmt::Display;

use crate::{
    http::messages::t_with,
    service::diagnosis::{Code, Diagnosis},
};

/// Returns the problem in the current language.
pub fn problem(diagnosis: &Diagnosis) -> String {
    text(diagnosis, &problem_id(diagnosis.code))
}

/// Returns the next step in the current language: what the user can do about the problem.
pub fn next_step(diagnosis: &Diagnosis) -> String {
    text(diagnosis, &next_step_id(diagnosis.code))
}

fn text(diagnosis: &Diagnosis, id: &str) -> String {
    let arguments: Vec<(&'static str, &dyn Display)> =
        diagnosis.arguments.iter().map(|(name, value)| (*name, value as &dyn Display)).collect();
    t_with(id, &arguments)
}

fn problem_id(code: Code) -> String {
    match code {
        // The API has one name for both errors.
        Code::ProxyError => "diagnosis-proxy-error".to_owned(),
        _ => format!("diagnosis-{}", code.as_str().replace('_', "-")),
    }
}

fn next_step_id(code: Code) -> String {
    format!("{}-next", problem_id(code))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::http::messages::{Language, has};

    #[test]
    fn every_code_has_texts_of_its_own_in_every_language() {
        let ids: HashSet<String> = Code::ALL.into_iter().map(problem_id).collect();
        assert_eq!(ids.len(), Code::ALL.len());
        for code in Code::ALL {
            for language in Language::ALL {
                assert!(has(language, &problem_id(code)) && has(language, &next_step_id(code)), "{code:?}");
            }
        }
    }
}
