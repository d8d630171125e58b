//! A loaded model with its arrays: write inputs, predict, read outputs.

use std::sync::{Arc, Mutex, PoisonError};

use objc2::AnyThread;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyObject, ProtocolObject};
use objc2_core_ml::{MLDictionaryFeatureProvider, MLFeatureProvider, MLModel, MLPredictionOptions};
use objc2_foundation::{NSDictionary, NSString};

use super::array::{Array, refused};
use super::compile::reason;
use super::{Interface, Opened, Predictor, RunError};

/// A loaded model.
pub(super) struct Model {
    model: Arc<Mutex<Handle>>,
    interface: Interface,
}

/// A model that one thread at a time uses, as Core ML demands.
struct Handle(Retained<MLModel>);

// SAFETY: the object does not belong to the thread that made it, and the lock around
// it keeps it to one thread at a time.
unsafe impl Send for Handle {}

impl Model {
    pub fn new(model: Retained<MLModel>, interface: Interface) -> Self {
        Self { model: Arc::new(Mutex::new(Handle(model))), interface }
    }
}

impl Opened for Model {
    fn predictor(&self) -> Result<Box<dyn Predictor>, RunError> {
        autoreleasepool(|_| {
            let arrays = Arrays::new(self.model.clone(), &self.interface)?;
            Ok(Box::new(arrays) as Box<dyn Predictor>)
        })
    }
}

/// The memory of a model's inputs and outputs, which is used anew by each
/// prediction.
struct Arrays {
    model: Arc<Mutex<Handle>>,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    names: Vec<Retained<NSString>>,
    provider: Retained<ProtocolObject<dyn MLFeatureProvider>>,
    options: Retained<MLPredictionOptions>,
}

// SAFETY: every use takes `&mut self`. The arrays are shared with nobody, and none of
// the objects belongs to the thread that made it.
unsafe impl Send for Arrays {}

impl Arrays {
    fn new(model: Arc<Mutex<Handle>>, interface: &Interface) -> Result<Self, RunError> {
        let inputs = interface.inputs.iter().map(Array::new).collect::<Result<Vec<_>, _>>()?;
        let outputs = interface.outputs.iter().map(Array::new).collect::<Result<Vec<_>, _>>()?;
        let names = outputs.iter().map(|a| NSString::from_str(&a.feature.name)).collect();
        let (provider, options) = (provider(&inputs)?, options(&outputs));
        Ok(Self { model, inputs, outputs, names, provider, options })
    }

    /// Core ML may ignore a backing without a word; then the array holds old values.
    fn check_backings(
        &self,
        predicted: &ProtocolObject<dyn MLFeatureProvider>,
    ) -> Result<(), RunError> {
        for (array, name) in self.outputs.iter().zip(&self.names) {
            // SAFETY: a plain getter.
            match unsafe { predicted.featureValueForName(name) } {
                Some(value) if array.is_behind(&value) => {}
                Some(_) => return Err(refused(&array.feature, "Core ML did not use its array")),
                None => return Err(refused(&array.feature, "the model has no such output")),
            }
        }
        Ok(())
    }
}

impl Predictor for Arrays {
    fn write_f32(&mut self, input: usize, values: &[f32]) -> Result<(), RunError> {
        self.inputs[input].write_f32(values)
    }

    fn write_i64(&mut self, input: usize, values: &[i64]) -> Result<(), RunError> {
        self.inputs[input].write_i64(values)
    }

    fn predict(&mut self) -> Result<(), RunError> {
        // What Core ML allocates in a prediction is freed with the pool.
        autoreleasepool(|_| {
            // A prediction that panicked left nothing half done in the model.
            let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
            // SAFETY: inputs and outputs have the shapes that the model was built with;
            // if not, Core ML gives an error.
            let predicted = unsafe {
                model.0.predictionFromFeatures_options_error(&self.provider, &self.options)
            };
            drop(model);
            let predicted = predicted.map_err(|error| RunError::CoreMl {
                action: "running the model",
                reason: reason(&error),
            })?;
            self.check_backings(&predicted)
        })
    }

    fn read_f32(&mut self, output: usize, values: &mut [f32]) -> Result<(), RunError> {
        self.outputs[output].read_f32(values)
    }

    fn read_i64(&mut self, output: usize, values: &mut [i64]) -> Result<(), RunError> {
        self.outputs[output].read_i64(values)
    }
}

fn provider(inputs: &[Array]) -> Result<Retained<ProtocolObject<dyn MLFeatureProvider>>, RunError> {
    let features = dictionary(inputs, |array| array.value().into());
    let provider = MLDictionaryFeatureProvider::alloc();
    // SAFETY: every value of the dictionary is a feature value.
    let made =
        unsafe { MLDictionaryFeatureProvider::initWithDictionary_error(provider, &features) };
    let made = made.map_err(|error| RunError::CoreMl {
        action: "giving the model its inputs",
        reason: reason(&error),
    })?;
    Ok(ProtocolObject::from_retained(made))
}

fn options(outputs: &[Array]) -> Retained<MLPredictionOptions> {
    let backings = dictionary(outputs, Array::backing);
    // SAFETY: every value of the dictionary is an array or a pixel buffer, the kinds of
    // backings.
    unsafe {
        let options = MLPredictionOptions::new();
        options.setOutputBackings(&backings);
        options
    }
}

/// A dictionary by the arrays' names.
fn dictionary(
    arrays: &[Array],
    value: impl Fn(&Array) -> Retained<AnyObject>,
) -> Retained<NSDictionary<NSString, AnyObject>> {
    let names: Vec<_> = arrays.iter().map(|a| NSString::from_str(&a.feature.name)).collect();
    let names: Vec<_> = names.iter().map(|name| &**name).collect();
    let values: Vec<_> = arrays.iter().map(value).collect();
    NSDictionary::from_retained_objects(&names, &values)
}
