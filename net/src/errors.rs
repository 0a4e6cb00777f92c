//! What can go wrong, by whom it is to be mended: the operator ([`NetError`], [`ConfigError`],
//! [`IdentityError`]), the caller ([`SendError`]), or the other side ([`ConnectError`], [`LinkError`]).

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::address::Address;
use crate::identity::Fingerprint;

/// Why a validator's network could not start.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// Another process holds the port.
    #[error(
        "the UDP address {address} is already taken: stop the process that holds it, or set another port in the configuration"
    )]
    AddressInUse {
        /// The address that was asked for.
        address: SocketAddr,
    },
    /// The address cannot be opened for another reason.
    #[error("cannot open the UDP address {address}: {source}")]
    Bind {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The settings contradict each other.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificate and key cannot be used for TLS.
    #[error("the certificate and key cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The thread or its runtime could not be created.
    #[error("cannot start the network thread: {0}")]
    Thread(#[source] io::Error),
}

/// Settings that cannot all be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A validator index occurs twice, or is our own.
    #[error("validator {0} is listed twice, or is this validator itself")]
    RepeatedPeer(u16),
    /// Two validators have one certificate.
    #[error("validators {0} and {1} have the same certificate fingerprint")]
    RepeatedFingerprint(u16, u16),
    /// No channel, or more than there are channel numbers.
    #[error("{0} channels: there must be 1 to 64")]
    ChannelCount(usize),
    /// A frame of the largest size would never fit into its budget.
    #[error("{name}: a budget of {budget} bytes can never hold a frame of {frame} bytes")]
    BudgetBelowFrame {
        /// The channel, or "clients".
        name: &'static str,
        /// The budget that is too small.
        budget: usize,
        /// The largest frame with its overhead.
        frame: usize,
    },
    /// One peer could make us hold more than the promised bound.
    #[error("one peer could make this validator hold {bytes} bytes; the bound is {bound}")]
    PeerBudget {
        /// Inbound budgets and stream windows of all channels together.
        bytes: usize,
        /// The bound.
        bound: usize,
    },
    /// No client could ever connect.
    #[error(
        "the numbers of client connections, of strangers and of clients from one address must be at least 1"
    )]
    NoConnections,
}

/// Why a certificate and its key could not be made, read or written.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not hold what it should.
    #[error("{path} does not hold {expected} in PEM form: {problem}")]
    Pem {
        /// The file.
        path: PathBuf,
        /// "a certificate" or "a private key".
        expected: &'static str,
        /// What the parser said.
        problem: String,
    },
    /// The certificate could not be generated.
    #[error("cannot generate a certificate for {name:?}: {problem}")]
    Generate {
        /// The name that was asked for.
        name: String,
        /// What the generator said.
        problem: String,
    },
    /// A fingerprint is 64 hexadecimal digits.
    #[error("{0:?} is not a fingerprint: 64 hexadecimal digits are expected")]
    Fingerprint(String),
}

/// Why a frame was not taken for sending. Nothing of it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The queue holds as many bytes as it may; try again later, or shed.
    #[error("the queue is full")]
    Full,
    /// No connection to that peer is up at present, or the client has gone.
    #[error("not connected")]
    NotConnected,
    /// Longer than the channel carries.
    #[error("a frame of {length} bytes exceeds the maximum of {max}")]
    TooLarge {
        /// Length of the frame.
        length: usize,
        /// The most that the channel carries.
        max: usize,
    },
    /// The peer or channel does not exist in the settings.
    #[error("no such peer or channel")]
    Unknown,
}

/// Why a client could not connect to a validator.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The server is not the one that was meant.
    #[error("{address} is not the expected validator: its certificate is {found}, expected {expected}")]
    WrongFingerprint {
        /// Who answered.
        address: Address,
        /// The pinned fingerprint.
        expected: Fingerprint,
        /// The fingerprint of the certificate that was shown.
        found: Fingerprint,
    },
    /// The name leads nowhere.
    #[error("cannot find {address}: {reason}")]
    Unresolved {
        /// Who was to be called.
        address: Address,
        /// What the lookup said.
        reason: String,
    },
    /// Nobody answered.
    #[error(
        "no answer from {address} within {timeout:?}: is the validator running, and is this its client port?"
    )]
    NoAnswer {
        /// Who was called.
        address: Address,
        /// For how long.
        timeout: Duration,
    },
    /// The validator answered and declined.
    #[error("{address} refused the connection: {reason}")]
    Refused {
        /// Who was called.
        address: Address,
        /// What it said.
        reason: String,
    },
    /// Our own side could not open a socket or a runtime.
    #[error("cannot open a local socket to reach {address}: {source}")]
    Local {
        /// Who was to be called.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
}

/// Why an established link ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The other side closed it and gave a reason.
    #[error("closed by the other side: {0}")]
    Closed(String),
    /// The other side fell silent, restarted, or the path broke.
    #[error("lost: {0}")]
    Lost(String),
    /// We closed it.
    #[error("closed here: {0}")]
    Here(String),
    /// The other side announced a frame longer than allowed.
    #[error("a frame of {length} bytes was announced; the maximum is {max}")]
    Oversized {
        /// The announced length.
        length: usize,
        /// The most that may come.
        max: usize,
    },
    /// The other side did not follow the framing.
    #[error("protocol violation: {0}")]
    Protocol(String),
    /// The other side takes nothing while frames wait for it.
    #[error("the other side stopped reading for {0:?}")]
    Stalled(Duration),
}
