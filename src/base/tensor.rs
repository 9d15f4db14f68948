//! Small operations on tensors.

use tch::{Device, Kind, Tensor};

use crate::Result;

/// A constant as an operand, on the device without a copy from the host.
pub(crate) fn scalar(value: f64, like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::f_full([0i64; 0].as_slice(), value, (like.kind(), like.device()))?)
}

/// The tensor on a device, in a kind. The host does not wait for what is queued there.
pub(crate) fn on_device(tensor: &Tensor, device: Device, kind: Kind) -> Result<Tensor> {
    // From a device to the host it has to wait, or it would read what is not there yet.
    let from_host = tensor.device() == Device::Cpu;
    Ok(tensor.f_to_device_(device, kind, from_host, false)?)
}

/// The size along `dim`, of which -1 is the last one.
pub(crate) fn side(tensor: &Tensor, dim: i64) -> i64 {
    let sizes = tensor.size();
    sizes[(sizes.len() as i64 + dim) as usize]
}
