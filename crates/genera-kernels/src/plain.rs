//! Every operation as a plain expression of Burn tensors: the definition that the kernels are tested against, and
//! what runs on every device and processor that they do not serve. Differentiable by Burn's own autodiff.

use burn::tensor::ops::{ConvOptions as BurnConvOptions, ConvTransposeOptions};
use burn::tensor::{Bool, Int, Tensor, TensorData, activation, module};

use crate::activation::{LEAKY_SLOPE, SELU};
use crate::optimizer::{AdamW, AdamWTensors};
use crate::{Activation, AttentionMask, ConvOptions};

/// See [`activate`](crate::activate).
pub fn activate<const D: usize>(x: Tensor<D>, activation: Activation) -> Tensor<D> {
    match activation {
        Activation::Identity => x,
        Activation::Relu => activation::relu(x),
        Activation::LeakyRelu => activation::leaky_relu(x, LEAKY_SLOPE.into()),
        Activation::Silu => x.clone() * activation::sigmoid(x),
        // The exponential never sees a positive number: Burn's own SELU has NaN gradients above 88.
        Activation::Selu => {
            let below = x.clone().clamp_max(0.0).exp().sub_scalar(1.0).mul_scalar(SELU.0);
            (activation::relu(x) + below).mul_scalar(SELU.1)
        }
        Activation::Gelu => activation::gelu(x),
        Activation::Tanh => x.tanh(),
        Activation::Sigmoid => activation::sigmoid(x),
        Activation::Softplus => activation::softplus(x, 1.0),
    }
}

/// See [`activation_tangent`](crate::activation_tangent).
pub fn activation_tangent<const D: usize>(x: Tensor<D>, v: Tensor<D>, activation: Activation) -> Tensor<D> {
    let above = |x: Tensor<D>| x.detach().greater_elem(0.0).float();
    let slope = match activation {
        Activation::Identity => return v,
        Activation::Relu => above(x),
        Activation::LeakyRelu => above(x) * (1.0 - LEAKY_SLOPE) + LEAKY_SLOPE,
        Activation::Silu => {
            let s = activation::sigmoid(x.clone());
            s.clone() * (x * (-s + 1.0) + 1.0)
        }
        Activation::Selu => {
            let above = above(x.clone());
            let below = x.clamp_max(0.0).exp() * SELU.0 * (-above.clone() + 1.0);
            (above + below) * SELU.1
        }
        Activation::Gelu => {
            let density = (x.clone().square() * -0.5).exp() * 0.398_942_28;
            ((x.clone() * std::f32::consts::FRAC_1_SQRT_2).erf() + 1.0) * 0.5 + x * density
        }
        Activation::Tanh => -x.tanh().square() + 1.0,
        Activation::Sigmoid => {
            let s = activation::sigmoid(x);
            s.clone() * (-s + 1.0)
        }
        Activation::Softplus => activation::sigmoid(x),
    };
    slope * v
}

/// See [`sin_cos`](crate::sin_cos).
pub fn sin_cos<const D: usize>(x: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
    (x.clone().sin(), x.cos())
}

/// See [`linear`](crate::linear).
pub fn linear<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
    activation: Activation,
) -> Tensor<D> {
    let mut shape = x.dims();
    let [outputs, inputs] = weight.dims();
    let rows = shape[..D - 1].iter().product();
    let mut y = x.reshape([rows, inputs]).matmul(weight.transpose());
    if let Some(bias) = bias {
        y = y + bias.unsqueeze();
    }
    shape[D - 1] = outputs;
    activate(y.reshape(shape), activation)
}

/// See [`conv2d`](crate::conv2d).
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<4>>,
    options: ConvOptions,
) -> Tensor<4> {
    let padding = options.padding.map(|[before, after]| (before, after));
    let burn_options = BurnConvOptions::new_with_padding(options.stride, padding, options.dilation, options.groups);
    let y = module::conv2d(x.permute([0, 3, 1, 2]), weight, bias, burn_options).permute([0, 2, 3, 1]);
    match residual {
        Some(residual) => y + residual,
        None => y,
    }
}

/// See [`masked_conv2d`](crate::masked_conv2d).
pub fn masked_conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    residual: Option<Tensor<4>>,
    seen: usize,
    options: ConvOptions,
) -> Tensor<4> {
    let [_, _, kh, kw] = weight.dims();
    if seen == kh * kw {
        return conv2d(x, weight, bias, residual, options);
    }
    let mask: Vec<f32> = (0..kh * kw).map(|tap| if tap < seen { 1.0 } else { 0.0 }).collect();
    let mask = Tensor::from_data(TensorData::new(mask, [1, 1, kh, kw]), &weight.device());
    conv2d(x, weight * mask, bias, residual, options)
}

/// See [`conv_transpose2d`](crate::conv_transpose2d).
pub fn conv_transpose2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    size: [usize; 2],
    options: ConvOptions,
) -> Tensor<4> {
    let ConvOptions { stride, padding, dilation, groups } = options;
    // The padded image: what no tap reaches at its far end is the output padding.
    let [_, _, kh, kw] = weight.dims();
    let sizes = x.dims();
    let rest = [0, 1].map(|axis| {
        let reached = (sizes[1 + axis] - 1) * stride[axis] + dilation[axis] * ([kh, kw][axis] - 1) + 1;
        size[axis] + padding[axis][0] + padding[axis][1] - reached
    });
    let burn_options = ConvTransposeOptions::new(stride, [0; 2], rest, dilation, groups);
    let y = module::conv_transpose2d(x.permute([0, 3, 1, 2]), weight, bias, burn_options).permute([0, 2, 3, 1]);
    y.narrow(1, padding[0][0], size[0]).narrow(2, padding[1][0], size[1])
}

/// See [`group_norm`](crate::group_norm).
pub fn group_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    groups: usize,
    eps: f32,
    activation: Activation,
) -> Tensor<D> {
    let shape = x.dims();
    let (batch, channels) = (shape[0], shape[D - 1]);
    let points = shape[1..D - 1].iter().product();
    let x: Tensor<4> = x.reshape([batch, points, groups, channels / groups]);
    let mean = x.clone().mean_dim(3).mean_dim(1);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(3).mean_dim(1);
    let normal: Tensor<3> = (centred / variance.add_scalar(eps).sqrt()).reshape([batch, points, channels]);
    activate(normal * weight.unsqueeze() + bias.unsqueeze(), activation).reshape(shape)
}

/// See [`layer_norm`](crate::layer_norm).
pub fn layer_norm<const D: usize>(
    x: Tensor<D>,
    weight: Tensor<1>,
    bias: Tensor<1>,
    eps: f32,
    activation: Activation,
) -> Tensor<D> {
    let mean = x.clone().mean_dim(D - 1);
    let centred = x - mean;
    let variance = centred.clone().square().mean_dim(D - 1);
    let normal = centred / variance.add_scalar(eps).sqrt();
    activate(normal * weight.unsqueeze() + bias.unsqueeze(), activation)
}

/// See [`attention`](crate::attention). Materialises the `[B, heads, Tq, Tk]` scores.
pub fn attention(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, scale: f32, mask: AttentionMask) -> Tensor<4> {
    let (queries, keys) = (q.dims()[2], k.dims()[2]);
    let mut scores = q.matmul(k.swap_dims(2, 3)).mul_scalar(scale);
    if mask == AttentionMask::Causal {
        let hidden = Tensor::<2, Bool>::tril_mask([queries, keys], keys as i64 - queries as i64, &scores.device());
        scores = scores.mask_fill(hidden.unsqueeze::<4>(), f32::NEG_INFINITY);
    }
    activation::softmax(scores, 3).matmul(v)
}

/// See [`cross_entropy`](crate::cross_entropy).
pub fn cross_entropy(logits: Tensor<2>, classes: Tensor<1, Int>) -> Tensor<1> {
    -activation::log_softmax(logits, 1).gather(1, classes.unsqueeze_dim(1)).squeeze_dim(1)
}

/// See [`join_channels`](crate::join_channels).
pub fn join_channels(a: Tensor<4>, b: Tensor<4>) -> Tensor<4> {
    Tensor::cat(vec![a, b], 3)
}

/// See [`avg_pool2x2`](crate::avg_pool2x2).
pub fn avg_pool2x2(x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let (height, width) = (height / 2, width / 2);
    let x = x.slice([0..batch, 0..2 * height, 0..2 * width, 0..channels]);
    let x: Tensor<6> = x.reshape([batch, height, 2, width, 2, channels]);
    x.mean_dim(4).mean_dim(2).reshape([batch, height, width, channels])
}

/// See [`upsample_nearest2x`](crate::upsample_nearest2x).
pub fn upsample_nearest2x(x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, channels] = x.dims();
    let x: Tensor<6> = x.reshape([batch, height, 1, width, 1, channels]);
    x.expand([batch, height, 2, width, 2, channels]).reshape([batch, 2 * height, 2 * width, channels])
}

/// See [`shift_pixels`](crate::shift_pixels).
pub fn shift_pixels(x: Tensor<4>, shift: Tensor<2>) -> Tensor<4> {
    x + shift.unsqueeze_dims::<4>(&[1, 2])
}

/// See [`adamw_step`](crate::adamw_step).
pub fn adamw_step<const D: usize>(tensors: AdamWTensors<D>, gradient: Tensor<D>, options: &AdamW) -> AdamWTensors<D> {
    let AdamWTensors { parameter, m, v, average } = tensors;
    let rates = options.rates();
    let m = m.mul_scalar(options.beta_1) + gradient.clone().mul_scalar(1.0 - options.beta_1);
    let v = v.mul_scalar(options.beta_2) + gradient.square().mul_scalar(1.0 - options.beta_2);
    let direction = m.clone() / v.clone().sqrt().mul_scalar(rates.root_v).add_scalar(options.eps);
    let parameter = parameter.mul_scalar(rates.keep) - direction.mul_scalar(rates.step);
    let average = average.map(|average| ema_step(average, parameter.clone(), options.average_decay));
    AdamWTensors { parameter, m, v, average }
}

/// `average + (1 - decay) (parameter - average)`.
fn ema_step<const D: usize>(average: Tensor<D>, parameter: Tensor<D>, decay: f64) -> Tensor<D> {
    average.clone() + (parameter - average).mul_scalar(1.0 - decay)
}

/// See [`sum_of_squares`](crate::sum_of_squares). Adds in f64 on the host, first element first.
pub fn sum_of_squares<const D: usize>(x: Tensor<D>) -> f64 {
    x.into_data().iter::<f32>().map(|value| f64::from(value).powi(2)).sum()
}
