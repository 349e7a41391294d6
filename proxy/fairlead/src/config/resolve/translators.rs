//! Translators with their settings: what is said for all listeners, and what one listener says itself.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use fairlead_kernel::Translator;
use toml::Spanned;

use super::super::Fault;
use super::super::file::Settings;

/// Every translator, with what the file says of all its listeners.
pub(super) struct Translators<'f>(Vec<Set<'f>>);

struct Set<'f> {
    usual: Arc<dyn Translator>,
    settings: Option<&'f Settings>,
}

impl<'f> Translators<'f> {
    pub(super) fn of(
        known: &[Arc<dyn Translator>],
        written: &'f BTreeMap<String, Spanned<Settings>>,
    ) -> Result<Self, Fault> {
        let sets = known.iter().map(|translator| {
            let settings = written.get(translator.name()).map(Spanned::get_ref);
            let usual = configured(translator, [settings, None])?;
            Ok(Set { usual, settings })
        });
        let translators = Self(sets.collect::<Result<_, _>>()?);
        let stray = written
            .iter()
            .find(|(name, _)| translators.get(name).is_none());
        match stray {
            Some((_, settings)) => Err(translators.unknown(settings.span())),
            None => Ok(translators),
        }
    }

    /// Each as a listener has it that says nothing of its own.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<dyn Translator>> {
        self.0.iter().map(|set| &set.usual)
    }

    /// The one that a listener names, as that listener wants it.
    pub(super) fn configured(
        &self,
        wanted: &Spanned<String>,
        settings: &Settings,
    ) -> Result<Arc<dyn Translator>, Fault> {
        let set = self.get(wanted.get_ref());
        let set = set.ok_or_else(|| self.unknown(wanted.span()))?;
        configured(&set.usual, [set.settings, Some(settings)])
    }

    fn get(&self, name: &str) -> Option<&Set<'f>> {
        self.0.iter().find(|set| set.usual.name() == name)
    }

    fn unknown(&self, at: Range<usize>) -> Fault {
        let names: Vec<&str> = self.iter().map(|one| one.name()).collect();
        let what = format!("no such translator: there are {}", names.join(", "));
        Fault { what, at }
    }
}

/// With these settings, of which later ones replace earlier ones of the same name.
fn configured(
    translator: &Arc<dyn Translator>,
    settings: [Option<&Settings>; 2],
) -> Result<Arc<dyn Translator>, Fault> {
    let said = settings.into_iter().flatten().flatten();
    let said: BTreeMap<_, _> = said.collect();
    if said.is_empty() {
        return Ok(Arc::clone(translator));
    }
    let words = said.iter();
    let words = words.map(|(key, setting)| ((*key).clone(), setting.get_ref().text()));
    translator.configured(&words.collect()).map_err(|bad| {
        let at = said.get(&bad.key).map(|setting| setting.span());
        Fault {
            what: bad.to_string(),
            at: at.unwrap_or_default(),
        }
    })
}
