//! Columns of the printer's profile. All statements derive them from the list of fields.

use serde_json::Value;
use sqlx::{ColumnIndex, Decode, FromRow, Row, Type, types::Json};
use uuid::Uuid;

use crate::{
    domain::printer_profile::{FieldKind, FieldValue, PROFILE_FIELDS, PrinterProfile, ProfileField},
    storage::{Error, error::RowRef},
};

/// Returns the names of the columns, separated by commas.
pub(super) fn column_names() -> String {
    join_columns(|_, name| name.to_owned())
}

/// Returns the parameters of an insert. `first` is the number of the first one.
pub(super) fn parameters(first: usize) -> String {
    join_columns(|at, _| format!("${}", first + at))
}

/// Returns the assignments of an update. `first` is the number of the first parameter.
pub(super) fn assignments(first: usize) -> String {
    join_columns(|at, name| format!("{name} = ${}", first + at))
}

fn join_columns(write: impl Fn(usize, &str) -> String) -> String {
    let columns: Vec<String> = PROFILE_FIELDS.iter().enumerate().map(|(at, field)| write(at, field.name)).collect();
    columns.join(", ")
}

/// Binds the values of a profile, in the order of [`parameters`].
macro_rules! bind_profile {
    ($query:expr, $profile:expr) => {
        $profile.values().fold($query, |query, (_, value)| match value {
            $crate::domain::printer_profile::FieldValue::Text(text) => query.bind(text),
            $crate::domain::printer_profile::FieldValue::Number(number) => query.bind(number),
            $crate::domain::printer_profile::FieldValue::Size(size) => query.bind(size.map(sqlx::types::Json)),
        })
    };
}
pub(super) use bind_profile;

/// The columns of a row.
pub(super) struct ProfileColumns(Vec<(&'static ProfileField, StoredValue)>);

enum StoredValue {
    Text(Option<String>),
    Number(Option<f64>),
    Json(Option<Json<Value>>),
}

impl<'r, R: Row> FromRow<'r, R> for ProfileColumns
where
    for<'name> &'name str: ColumnIndex<R>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    Option<f64>: Decode<'r, R::Database> + Type<R::Database>,
    Option<Json<Value>>: Decode<'r, R::Database> + Type<R::Database>,
{
    fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
        let read = |field: &'static ProfileField| {
            let value = match field.kind {
                FieldKind::Line { .. } | FieldKind::Color | FieldKind::Text { .. } => {
                    StoredValue::Text(row.try_get(field.name)?)
                }
                FieldKind::Millimetres { .. } => StoredValue::Number(row.try_get(field.name)?),
                FieldKind::Size { .. } => StoredValue::Json(row.try_get(field.name)?),
            };
            Ok((field, value))
        };
        PROFILE_FIELDS.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl ProfileColumns {
    /// Returns the profile. Fails with the column whose value cannot be read.
    pub(super) fn into_profile(self, row_ref: &RowRef<Uuid>) -> Result<PrinterProfile, Error> {
        let mut profile = PrinterProfile::default();
        for (field, value) in self.0 {
            let value = match value {
                StoredValue::Text(text) => FieldValue::Text(text),
                StoredValue::Number(number) => FieldValue::Number(number),
                StoredValue::Json(json) => {
                    FieldValue::Size(json.map(|Json(size)| row_ref.parse_json(field.name, size)).transpose()?)
                }
            };
            profile.set(field, value);
        }
        Ok(profile)
    }
}
