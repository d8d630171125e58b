//! Names that no generated binding of this build declares, each with where it is
//! from.

/// What frameworks export beyond the objc2 crates of this build.
pub const FRAMEWORKS: &[(&str, &[&str])] = &[
    // ColorSync, which this umbrella exports anew: <ColorSync/ColorSyncDevice.h>.
    ("ApplicationServices", &["CGDisplayCreateUUIDFromDisplayID", "CGDisplayGetDisplayIDFromUUID"]),
    // Keyboard layouts, for winit: <HIToolbox/TextInputSources.h>,
    // <CarbonCore/UnicodeUtilities.h>, <HIToolbox/Events.h>.
    (
        "Carbon",
        &[
            "LMGetKbdType",
            "TISCopyCurrentKeyboardLayoutInputSource",
            "TISGetInputSourceProperty",
            "UCKeyTranslate",
            "kTISPropertyUnicodeKeyLayoutData",
        ],
    ),
    // <CoreGraphics/CGDirectDisplay.h>; the bindings count references by CFRetain
    // instead. The two of CGS are in no header: winit's blurred windows.
    (
        "CoreGraphics",
        &[
            "CGDisplayModeRelease",
            "CGDisplayModeRetain",
            "CGSMainConnectionID",
            "CGSSetWindowBackgroundBlurRadius",
        ],
    ),
    // <CoreVideo/CVDisplayLink.h>, left out for the same reason.
    ("CoreVideo", &["CVDisplayLinkRelease"]),
];

/// What compiled C++ without exceptions and streams calls: allocation, type
/// information, static locals (Itanium C++ ABI).
pub const LIBCXX: &[&str] = &[
    "_ZSt9terminatev",
    "_ZTVN10__cxxabiv117__class_type_infoE",
    "_ZTVN10__cxxabiv120__si_class_type_infoE",
    "_ZTVN10__cxxabiv121__vmi_class_type_infoE",
    "_ZdaPv",
    "_ZdlPvm",
    "_Znam",
    "_Znwm",
    "__cxa_begin_catch",
    "__cxa_guard_abort",
    "__cxa_guard_acquire",
    "__cxa_guard_release",
    "__cxa_pure_virtual",
    "__gxx_personality_v0",
];

/// The C library's character conversion, which std links and does not call.
pub const LIBICONV: &[&str] = &["iconv", "iconv_open", "iconv_close"];

/// The version in a framework's install name: "A" but for the two oldest.
pub fn framework_version(name: &str) -> &'static str {
    match name {
        "AppKit" | "Foundation" => "C",
        _ => "A",
    }
}
