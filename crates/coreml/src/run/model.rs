//! A loaded model with its arrays: write inputs, predict, read outputs.

use std::sync::Arc;
use std::sync::mpsc::sync_channel;

use block2::RcBlock;
use laterna_surface::PixelBuffer;
use laterna_tensor::Surface;
use objc2::AnyThread;
use objc2::rc::{Retained, autoreleasepool};
use objc2::runtime::{AnyObject, ProtocolObject};
use objc2_core_ml::{MLDictionaryFeatureProvider, MLFeatureProvider, MLModel, MLPredictionOptions};
use objc2_foundation::{NSDictionary, NSError, NSString};

use super::array::{Array, refused};
use super::compile::{Handed, reason, refusal};
use super::{Interface, Opened, Predictor, RunError};

/// A loaded model.
pub(super) struct Model {
    model: Arc<Handle>,
    interface: Interface,
}

/// A model of which predictions are asked without waiting for each other.
struct Handle(Retained<MLModel>);

// SAFETY: the object does not belong to the thread that made it.
unsafe impl Send for Handle {}

// SAFETY: the one method that is called is the asynchronous prediction, which any
// thread may call at any time (Apple, WWDC23, session 10049); the synchronous ones
// are not.
unsafe impl Sync for Handle {}

type Features = ProtocolObject<dyn MLFeatureProvider>;

impl Handle {
    /// Waits for one prediction; those of other threads go on meanwhile.
    fn predict(
        &self,
        inputs: &Features,
        options: &MLPredictionOptions,
    ) -> Result<Retained<Features>, RunError> {
        const ACTION: &str = "running the model";
        let (done, result) = sync_channel(1);
        let handler = RcBlock::new(move |predicted: *mut Features, error: *mut NSError| {
            // SAFETY: Core ML gives outputs or an error, each valid during the call.
            let (predicted, error) = unsafe { (Retained::retain(predicted), error.as_ref()) };
            // The receiver waits for exactly this.
            let _ = done.send(predicted.map(Handed).ok_or_else(|| refusal(ACTION, error)));
        });
        // SAFETY: inputs and outputs have the shapes that the model was built with; if
        // not, Core ML gives an error. Nobody touches them before the block is called.
        unsafe {
            self.0.predictionFromFeatures_options_completionHandler(inputs, options, &handler);
        }
        // Core ML's is the only reference: if it forgets the block, the wait ends.
        drop(handler);
        let received = result.recv().unwrap_or_else(|_| Err(refusal(ACTION, None)));
        received.map(|predicted| predicted.0)
    }
}

impl Model {
    pub fn new(model: Retained<MLModel>, interface: Interface) -> Self {
        Self { model: Arc::new(Handle(model)), interface }
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
    model: Arc<Handle>,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    names: Vec<Retained<NSString>>,
    provider: Retained<ProtocolObject<dyn MLFeatureProvider>>,
    options: Retained<MLPredictionOptions>,
}

// SAFETY: every use takes `&mut self`. The arrays are shared with nobody, a picture of
// another's is only read, and none of the objects belongs to the thread that made it.
unsafe impl Send for Arrays {}

impl Arrays {
    fn new(model: Arc<Handle>, interface: &Interface) -> Result<Self, RunError> {
        let inputs = interface.inputs.iter().map(Array::new).collect::<Result<Vec<_>, _>>()?;
        let outputs = interface.outputs.iter().map(Array::new).collect::<Result<Vec<_>, _>>()?;
        let names = outputs.iter().map(|a| NSString::from_str(&a.feature.name)).collect();
        let (provider, options) = (provider(&inputs)?, options(&outputs));
        Ok(Self { model, inputs, outputs, names, provider, options })
    }

    /// Reads an input where that is, or in its own memory: the model is given its inputs
    /// anew. False if it does not fit.
    fn show(&mut self, input: usize, picture: Option<&PixelBuffer>) -> Result<bool, RunError> {
        autoreleasepool(|_| {
            let before = self.inputs[input].lent();
            if !self.inputs[input].share(picture) {
                return Ok(false);
            }
            match provider(&self.inputs) {
                Ok(provider) => self.provider = provider,
                Err(error) => {
                    // What the model still has.
                    self.inputs[input].share(before.as_ref());
                    return Err(error);
                }
            }
            Ok(true)
        })
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
        if self.inputs[input].lent().is_some() {
            self.show(input, None)?;
        }
        self.inputs[input].write_f32(values)
    }

    fn share(&mut self, input: usize, picture: &Surface) -> Result<bool, RunError> {
        picture.get().map_or(Ok(false), |buffer| self.show(input, Some(buffer)))
    }

    fn write_i64(&mut self, input: usize, values: &[i64]) -> Result<(), RunError> {
        self.inputs[input].write_i64(values)
    }

    fn predict(&mut self) -> Result<(), RunError> {
        // What Core ML allocates in a prediction is freed with the pool.
        autoreleasepool(|_| {
            let predicted = self.model.predict(&self.provider, &self.options)?;
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
