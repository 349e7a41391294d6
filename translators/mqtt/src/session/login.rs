//! Who the client is: by password, by certificate, or by a conversation in AUTH packets (MQTT 5),
//! which may be repeated while the connection lasts.

use std::time::Duration;

use bytes::Bytes;
use fairlead_canon::{Principal, Text};
use fairlead_kernel::{ClosedReason, ConnInfo, Error, Io, Kernel, Login, Reason, Step};

use super::Session;
use super::ending::End;
use super::link::Link;
use crate::codec::{Auth, Connect, Packet, Properties, Property, ReasonCode};
use crate::errors::Fault;

/// How long a second authentication may take to be checked.
const CHECK_MAX: Duration = Duration::from_secs(10);

/// Whom a login has shown, and what CONNACK says of it.
#[derive(Debug)]
pub(super) struct Proven {
    pub(super) who: Principal,
    pub(super) words: Vec<Property>,
}

/// The method that CONNECT named; there is none for a login by password.
#[derive(Debug)]
pub(super) struct Method {
    name: Text,
    info: ConnInfo,
    /// A second authentication.
    under_way: Option<Box<dyn Login>>,
}

impl Method {
    /// What was agreed by CONNECT.
    pub(super) fn of(connect: &Connect, info: &ConnInfo) -> Option<Box<Self>> {
        let name = connect.properties.auth_method()?;
        let info = info.clone();
        Some(Box::new(Self {
            name,
            info,
            under_way: None,
        }))
    }
}

/// Finds out who a client is. `link` carries what a method has to say on the way.
pub(super) async fn prove<I: Io>(
    link: &mut Link<I>,
    connect: &Connect,
    info: &ConnInfo,
    kernel: &Kernel,
) -> Result<Proven, Fault> {
    let Some(method) = connect.properties.auth_method() else {
        if connect.properties.auth_data().is_some() {
            return Err(Fault::protocol("authentication data without a method"));
        }
        let who = by_password(connect, info, kernel).await?;
        let words = Vec::new();
        return Ok(Proven { who, words });
    };
    let mut login = greet(&method, info, kernel)?;
    let mut said = connect.properties.auth_data().unwrap_or_default();
    loop {
        match login.step(&said).await {
            Step::Done(who, last) => {
                let words = words(&method, last);
                return Ok(Proven { who, words });
            }
            Step::Continue(challenge) => {
                //= MQTT-4.12.0-2: the server asks for more with 0x18.
                let ask = packet(&method, ReasonCode::CONTINUE_AUTHENTICATION, challenge)?;
                link.send(&ask)?;
                link.drain().await?;
                said = next(link, &method).await?;
            }
            Step::Refused(why) => return Err(refused(why)),
        }
    }
}

/// The client's next word in the conversation before CONNACK.
async fn next<I: Io>(link: &mut Link<I>, method: &Text) -> Result<Bytes, Fault> {
    match link.next_packet().await? {
        //= MQTT-4.12.0-3: the client answers with 0x18.
        Some(Packet::Auth(auth)) if auth.reason == ReasonCode::CONTINUE_AUTHENTICATION => {
            data(method, &auth)
        }
        None | Some(Packet::Disconnect(_)) => {
            let why = "left in the middle of its login";
            Err(Fault::new(ReasonCode::SUCCESS, ClosedReason::Lost, why))
        }
        //= MQTT-3.1.2-30: until CONNACK there is nothing but AUTH and DISCONNECT.
        Some(_) => Err(Fault::protocol("another packet in the middle of a login")),
    }
}

async fn by_password(
    connect: &Connect,
    info: &ConnInfo,
    kernel: &Kernel,
) -> Result<Principal, Fault> {
    let has_certificate = info.certificate_name.is_some();
    let (mechanism, said) = match (&connect.user_name, &connect.password) {
        (None, None) if !has_certificate => ("ANONYMOUS", Vec::new()),
        // A certificate outweighs a name that nothing proves.
        (_, None) if has_certificate => ("EXTERNAL", Vec::new()),
        (user, password) => {
            let user = user.as_deref().unwrap_or_default();
            let password = password.as_deref().unwrap_or_default();
            ("PLAIN", [b"\0", user.as_bytes(), b"\0", password].concat())
        }
    };
    let bad = |why: &str| Fault::new(ReasonCode::BAD_CREDENTIALS, ClosedReason::Refused, why);
    let Ok(mut login) = kernel.greet(info, mechanism) else {
        return Err(refused("clients without a user are not let in"));
    };
    match login.step(&said).await {
        Step::Done(who, _) => Ok(who),
        Step::Refused(why) => Err(bad(why)),
        Step::Continue(_) => Err(bad("an unfinished login")),
    }
}

impl<I: Io> Session<I> {
    /// AUTH: the client shows again who it is.
    pub(super) async fn authenticate(&mut self, auth: &Auth) -> Result<(), End> {
        //= MQTT-4.12.0-7: without a method in CONNECT there is no AUTH.
        let Some(method) = &mut self.method else {
            let detail = "AUTH where no authentication method was agreed";
            return Err(Fault::protocol(detail).into());
        };
        let said = data(&method.name, auth)?;
        let begun = match auth.reason {
            ReasonCode::REAUTHENTICATE => {
                Some(greet(&method.name, &method.info, self.caller.kernel())?)
            }
            ReasonCode::CONTINUE_AUTHENTICATION => method.under_way.take(),
            _ => None,
        };
        let Some(mut login) = begun else {
            return Err(Fault::protocol("AUTH that answers nothing").into());
        };
        let step = tokio::time::timeout(CHECK_MAX, login.step(&said)).await;
        let answer = match step.unwrap_or(Step::Refused("the login took longer than ten seconds")) {
            Step::Continue(challenge) => {
                method.under_way = Some(login);
                packet(&method.name, ReasonCode::CONTINUE_AUTHENTICATION, challenge)?
            }
            Step::Done(who, last) if who.name == self.caller.who().name => {
                packet(&method.name, ReasonCode::SUCCESS, last)?
            }
            Step::Done(_, _) => return Err(refused("another user than before").into()),
            //= MQTT-4.12.1-2: a second authentication that fails ends the connection.
            Step::Refused(why) => {
                self.caller.meters().logins_refused.inc();
                return Err(refused(why).into());
            }
        };
        Ok(self.link.send(&answer)?)
    }
}

fn greet(method: &str, info: &ConnInfo, kernel: &Kernel) -> Result<Box<dyn Login>, Fault> {
    let is_offered = kernel.mechanisms(info).contains(&method);
    let login = kernel.greet(info, method);
    //= MQTT-4.12.0-1: a method that is not known is refused.
    login.ok().filter(|_| is_offered).ok_or_else(|| {
        let why = "an unknown authentication method";
        Fault::new(ReasonCode::BAD_AUTH_METHOD, ClosedReason::Refused, why)
    })
}

/// What a packet says in the method that was agreed.
fn data(method: &Text, auth: &Auth) -> Result<Bytes, Fault> {
    //= MQTT-4.12.0-5: each packet names the method, and
    //= MQTT-4.12.1-1: it stays the same for as long as the connection lasts.
    if auth.properties.auth_method().as_ref() != Some(method) {
        let why = "AUTH of another method";
        return Err(Fault::new(
            ReasonCode::BAD_AUTH_METHOD,
            ClosedReason::Malformed,
            why,
        ));
    }
    Ok(auth.properties.auth_data().unwrap_or_default())
}

fn packet(method: &Text, reason: ReasonCode, data: Bytes) -> Result<Packet, Fault> {
    let properties = Properties::of(words(method, data)).map_err(too_long)?;
    Ok(Packet::Auth(Auth { reason, properties }))
}

//= MQTT-4.12.0-4: a login that fails ends the connection.
fn refused(why: &'static str) -> Fault {
    Fault::new(ReasonCode::NOT_AUTHORIZED, ClosedReason::Refused, why)
}

fn words(method: &Text, data: Bytes) -> Vec<Property> {
    let data = Some(data).filter(|data| !data.is_empty());
    let method = Property::AuthMethod(method.clone());
    [Some(method), data.map(Property::AuthData)]
        .into_iter()
        .flatten()
        .collect()
}

fn too_long(error: fairlead_wire::WireError) -> Error {
    Error::us(Reason::TooLarge, error.to_string())
}
