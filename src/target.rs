//! Which object of which module is the application.

/// `'module:attribute'`, both dotted if need be, or the same as an object; `file` is the module's name, or its
/// file (`'app/main.py'`).
// As uvicorn writes it; the name is the published package's. Here, `file` is always the module's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PythonHandlerTarget {
    /// A dotted module name: `main`, `app.asgi`.
    pub file: String,
    /// A dotted attribute path: `app`, `factory.app`.
    pub function: String,
}

impl Default for PythonHandlerTarget {
    fn default() -> Self {
        Self { file: "main".to_owned(), function: "app".to_owned() }
    }
}

/// Whether every part of a dotted name is a Python identifier, as far as ASCII tells; `more` is a character besides.
fn is_dotted_name(name: &str, more: Option<char>) -> bool {
    name.split('.').all(|part| {
        !part.is_empty()
            && !part.starts_with(|first: char| first.is_ascii_digit() || Some(first) == more)
            && part
                .chars()
                .all(|character| character == '_' || character.is_alphanumeric() || Some(character) == more)
    })
}

impl PythonHandlerTarget {
    /// A target of a module and an attribute.
    ///
    /// A module written as a file (`app/main.py`) is taken as its module (`app.main`).
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn new(file: &str, function: &str) -> Result<Self, String> {
        let module = file.strip_suffix(".py").map_or_else(|| file.to_owned(), |stem| stem.replace('/', "."));
        // As importlib, which takes more than identifiers.
        if !is_dotted_name(&module, Some('-')) {
            return Err(format!("invalid target: `{file}` is no module name"));
        }
        if !is_dotted_name(function, None) {
            return Err(format!("invalid target: `{function}` is no attribute name"));
        }
        Ok(Self { file: module, function: function.to_owned() })
    }
}

impl TryFrom<&str> for PythonHandlerTarget {
    type Error = String;

    fn try_from(value: &str) -> Result<Self, String> {
        match value.split_once(':') {
            Some((file, function)) if !function.contains(':') => Self::new(file, function),
            _ => Err(format!("invalid target `{value}`: expected `module:attribute`, such as `main:app`")),
        }
    }
}

impl From<PythonHandlerTarget> for String {
    fn from(target: PythonHandlerTarget) -> Self {
        format!("{}:{}", target.file, target.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_module_and_an_attribute() {
        let table = [
            ("main:app", Ok(("main", "app"))),
            ("pkg.asgi:make.app", Ok(("pkg.asgi", "make.app"))),
            ("pkg/asgi.py:app", Ok(("pkg.asgi", "app"))),
            ("with-dash:app", Ok(("with-dash", "app"))),
            ("main:with-dash", Err(())),
            ("main", Err(())),
            ("too:many:colons", Err(())),
            (":app", Err(())),
            ("main:", Err(())),
            ("../main:app", Err(())),
            ("ma in:app", Err(())),
        ];
        for (text, expected) in table {
            let target = PythonHandlerTarget::try_from(text);
            match expected {
                Ok((file, function)) => {
                    assert_eq!(
                        target,
                        Ok(PythonHandlerTarget { file: file.into(), function: function.into() }),
                        "{text}"
                    );
                }
                Err(()) => assert!(target.is_err(), "{text}"),
            }
        }
    }

    #[test]
    fn a_target_reads_back_as_it_was_written() {
        let target = PythonHandlerTarget::default();
        assert_eq!(String::from(target.clone()), "main:app");
        assert_eq!(PythonHandlerTarget::try_from("main:app"), Ok(target));
    }
}
