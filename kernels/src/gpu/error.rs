//! What can go wrong with a device. None of it says anything about a signature: the CPU decides then.

/// Why a device cannot be used, or cannot be used any more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GpuError {
    /// Vulkan could not be loaded, or no driver offers a device.
    #[error(
        "there is no Vulkan device ({0}); install the driver of the GPU, or mesa-vulkan-drivers for a software device"
    )]
    NoAdapter(String),
    /// The device is not big enough.
    #[error("{adapter}: {limit} is {has}, and {needed} are needed; use another device or a smaller capacity")]
    Limit {
        /// What the driver calls the device.
        adapter: String,
        /// The limit's name in WebGPU.
        limit: &'static str,
        /// What a verifier of that capacity needs.
        needed: u64,
        /// What there is.
        has: u64,
    },
    /// The device lacks what a program is written for.
    #[error(
        "{adapter} has no {feature}, which the program {program:?} needs; use another device, or the CPU"
    )]
    Feature {
        /// What the driver calls the device.
        adapter: String,
        /// The feature's name in WebGPU.
        feature: &'static str,
        /// The program's name.
        program: &'static str,
    },
    /// The driver gave no device.
    #[error(
        "{adapter} cannot be opened: {reason}; look whether this user may open it (group render), and at its driver"
    )]
    Device {
        /// What the driver calls the device.
        adapter: String,
        /// What the driver says.
        reason: String,
    },
    /// A shader was refused.
    #[error("the kernel {kernel} does not compile: {message}; install another driver, or use the CPU")]
    Shader {
        /// Program and kernel.
        kernel: String,
        /// What the compiler says.
        message: String,
    },
    /// The device is gone, or does what it should not. It has to be opened again.
    #[error("the device is lost: {0}")]
    Lost(String),
    /// There is not enough memory on the device.
    #[error("the device is out of memory: {0}; use a smaller capacity")]
    OutOfMemory(String),
    /// What came back is not what a kernel writes.
    #[error("the program {program:?} wrote {word:#x} where the verdict on entry {entry} belongs")]
    Output {
        /// The program's name.
        program: &'static str,
        /// From zero, in the batch.
        entry: usize,
        /// What stands there.
        word: u32,
    },
    /// Fewer or more bytes came back than were asked for.
    #[error("{has} bytes came back from the device instead of {expected}")]
    Length {
        /// Bytes that were asked for.
        expected: usize,
        /// Bytes that came.
        has: usize,
    },
}
