//! Finding a device and opening it.

use super::GpuError;
use super::program::WORKGROUP;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// The largest buffer that a kernel sees, where the device allows as much. Mesa's software driver stops here.
const BINDING_BYTES_MAX: u64 = 128 << 20;

/// Buffers of storage that a kernel sees at most.
const STORAGE_BUFFERS: u32 = 8;

/// What every kernel needs of a device: limits by their names in WebGPU.
fn needs(limits: &wgpu::Limits) -> [(&'static str, u32, u32); 3] {
    [
        (
            "max_storage_buffers_per_shader_stage",
            STORAGE_BUFFERS,
            limits.max_storage_buffers_per_shader_stage,
        ),
        ("max_compute_invocations_per_workgroup", WORKGROUP, limits.max_compute_invocations_per_workgroup),
        ("max_compute_workgroup_size_x", WORKGROUP, limits.max_compute_workgroup_size_x),
    ]
}

/// An error if the limits are below what every kernel needs.
pub(super) fn check_limits(adapter: &str, limits: &wgpu::Limits) -> Result<(), GpuError> {
    let lacking = needs(limits).into_iter().find(|(_, needed, has)| has < needed);
    lacking.map_or(Ok(()), |(limit, needed, has)| {
        Err(GpuError::Limit { adapter: adapter.to_owned(), limit, needed: needed.into(), has: has.into() })
    })
}

/// An opened device.
#[derive(Debug)]
pub struct Device {
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    info: DeviceInfo,
    fault: Arc<Mutex<Option<GpuError>>>,
    /// With which checks kernels are compiled, where a test measures what they cost.
    #[cfg(test)]
    pub(super) checks: Option<wgpu::ShaderRuntimeChecks>,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// What the driver calls it.
    pub name: String,
    /// The driver's name.
    pub driver: String,
    /// The driver's version.
    pub driver_version: String,
    /// Whether the CPU does its work.
    pub is_software: bool,
    /// Whether its integers can have 64 bits.
    pub has_int64: bool,
    /// The smallest and the largest number of invocations that run in step.
    pub subgroups: [u32; 2],
    /// Bytes of the largest buffer that a kernel may see, as it was opened.
    pub binding_bytes_max: u64,
    /// Invocations of a workgroup at most.
    pub workgroup_max: u32,
    /// Workgroups of a dispatch at most.
    pub workgroups_max: u32,
}

impl fmt::Display for DeviceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, driver, driver_version, .. } = self;
        let kind = if self.is_software { "software" } else { "hardware" };
        let integers = if self.has_int64 { 64 } else { 32 };
        let [least, most] = self.subgroups;
        write!(
            f,
            "{name} ({kind}), driver {driver} {driver_version}, integers of {integers} bits, subgroups of {least} to \
             {most}, workgroups of {}, bindings of {} MiB",
            self.workgroup_max,
            self.binding_bytes_max >> 20
        )
    }
}

impl Device {
    /// Opens the best device: one of hardware before a software one. Which drivers there are is for the Vulkan loader
    /// to say (`VK_DRIVER_FILES`).
    ///
    /// # Errors
    ///
    /// If there is none, or its driver cannot open it.
    pub fn open() -> Result<Self, GpuError> {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::VULKAN;
        // Validation layers and debug information are for those who write shaders.
        descriptor.flags = wgpu::InstanceFlags::empty();
        let instance = wgpu::Instance::new(descriptor);
        let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::VULKAN));
        adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
        let Some(adapter) = adapters.into_iter().next() else {
            // Asked for one, wgpu says which part is missing.
            let asked = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()));
            return Err(GpuError::NoAdapter(
                asked.err().map_or_else(|| "none is listed".into(), |error| error.to_string()),
            ));
        };
        Self::open_adapter(&adapter)
    }

    fn open_adapter(adapter: &wgpu::Adapter) -> Result<Self, GpuError> {
        let (found, limits) = (adapter.get_info(), adapter.limits());
        check_limits(&found.name, &limits)?;
        let features = adapter.features() & (wgpu::Features::SHADER_INT64 | wgpu::Features::TIMESTAMP_QUERY);
        let binding_bytes = limits.max_storage_buffer_binding_size.min(BINDING_BYTES_MAX);
        let required_limits = wgpu::Limits {
            max_storage_buffer_binding_size: binding_bytes,
            max_buffer_size: limits.max_buffer_size.min(BINDING_BYTES_MAX),
            max_storage_buffers_per_shader_stage: STORAGE_BUFFERS,
            ..wgpu::Limits::downlevel_defaults()
        };
        let info = DeviceInfo {
            name: found.name,
            driver: found.driver,
            driver_version: found.driver_info,
            is_software: found.device_type == wgpu::DeviceType::Cpu,
            has_int64: features.contains(wgpu::Features::SHADER_INT64),
            subgroups: [found.subgroup_min_size, found.subgroup_max_size],
            binding_bytes_max: binding_bytes,
            workgroup_max: required_limits.max_compute_invocations_per_workgroup,
            workgroups_max: required_limits.max_compute_workgroups_per_dimension,
        };
        let opened = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
            label: None,
            required_features: features,
            required_limits,
            experimental_features: wgpu::ExperimentalFeatures::disabled(),
            memory_hints: wgpu::MemoryHints::Performance,
            trace: wgpu::Trace::Off,
        }));
        let (device, queue) = opened
            .map_err(|error| GpuError::Device { adapter: info.name.clone(), reason: error.to_string() })?;
        let fault = Arc::new(Mutex::new(None));
        let first = Arc::clone(&fault);
        device.on_uncaptured_error(Arc::new(move |error| note(&first, from_wgpu(error))));
        let first = Arc::clone(&fault);
        device.set_device_lost_callback(move |reason, message| {
            note(&first, GpuError::Lost(format!("{reason:?}: {message}")));
        });
        Ok(Self {
            device,
            queue,
            info,
            fault,
            #[cfg(test)]
            checks: None,
        })
    }

    /// What it is.
    #[must_use]
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// The first thing that went wrong with it, if any did. It is not to be used then.
    #[must_use]
    pub fn fault(&self) -> Option<GpuError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Something goes wrong with it.
    #[cfg(test)]
    pub(super) fn fail(&self, error: wgpu::Error) {
        note(&self.fault, from_wgpu(error));
    }

    /// An error if anything has gone wrong with it.
    pub(super) fn check(&self) -> Result<(), GpuError> {
        self.fault().map_or(Ok(()), Err)
    }

    /// An error unless a buffer of that size can be bound.
    pub(super) fn check_binding(&self, needed: u64) -> Result<(), GpuError> {
        let has = self.info.binding_bytes_max;
        if needed <= has {
            return Ok(());
        }
        let limit = "max_storage_buffer_binding_size";
        Err(GpuError::Limit { adapter: self.info.name.clone(), limit, needed, has })
    }

    /// The layout of a group of bindings, and that of pipelines that have this group alone.
    pub(super) fn layouts(
        &self,
        entries: &[wgpu::BindGroupLayoutEntry],
    ) -> (wgpu::BindGroupLayout, wgpu::PipelineLayout) {
        let group = wgpu::BindGroupLayoutDescriptor { label: None, entries };
        let group = self.device.create_bind_group_layout(&group);
        let whole = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: None,
            bind_group_layouts: &[Some(&group)],
            immediate_size: 0,
        });
        (group, whole)
    }

    /// Compiles one module and the kernels of it.
    pub(super) fn compile(
        &self,
        name: &str,
        source: &str,
        layout: &wgpu::PipelineLayout,
        kernels: &[&str],
    ) -> Result<Vec<wgpu::ComputePipeline>, GpuError> {
        let refused = |kernel: &str, message: String| GpuError::Shader { kernel: kernel.to_owned(), message };
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let module = self.module(wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        });
        if let Some(error) = pollster::block_on(scope.pop()) {
            return Err(refused(name, error.to_string()));
        }
        let mut pipelines = Vec::with_capacity(kernels.len());
        for kernel in kernels {
            let scopes = [wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::Internal]
                .map(|filter| self.device.push_error_scope(filter));
            pipelines.push(self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(kernel),
                layout: Some(layout),
                module: &module,
                entry_point: Some(kernel),
                compilation_options: wgpu::PipelineCompilationOptions::default(),
                cache: None,
            }));
            // Scopes are a stack.
            for scope in scopes.into_iter().rev() {
                if let Some(error) = pollster::block_on(scope.pop()) {
                    return Err(refused(&format!("{name}::{kernel}"), error.to_string()));
                }
            }
        }
        self.check()?;
        Ok(pipelines)
    }

    /// A module with all of wgpu's checks.
    fn module(&self, descriptor: wgpu::ShaderModuleDescriptor<'_>) -> wgpu::ShaderModule {
        #[cfg(test)]
        if let Some(checks) = self.checks {
            // SAFETY: every index of our kernels is below the length of its buffer, as the layouts in their READMEs
            // say, and every loop counts to a constant or to a number of blocks that the host has packed.
            return unsafe { self.device.create_shader_module_trusted(descriptor, checks) };
        }
        self.device.create_shader_module(descriptor)
    }

    /// Whether it tells how long kernels take.
    pub(super) fn has_clock(&self) -> bool {
        self.device.features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// An empty buffer.
    pub(super) fn buffer(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
        let (label, mapped_at_creation) = (Some(label), false);
        self.device.create_buffer(&wgpu::BufferDescriptor { label, size: bytes, usage, mapped_at_creation })
    }

    /// A buffer of words that kernels read.
    pub(super) fn constants(&self, label: &str, words: &[u32]) -> wgpu::Buffer {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
        let buffer = self.buffer(label, size_of_val(words) as u64, usage);
        self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
        buffer
    }
}

/// Keeps the first fault: later ones follow from it.
fn note(fault: &Mutex<Option<GpuError>>, error: GpuError) {
    fault.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
}

fn from_wgpu(error: wgpu::Error) -> GpuError {
    match error {
        wgpu::Error::OutOfMemory { source } => GpuError::OutOfMemory(source.to_string()),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            GpuError::Lost(description)
        }
    }
}

/// The best kind of device first.
fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}
