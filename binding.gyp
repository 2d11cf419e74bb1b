{
  "variables": {
    "openssl_fips": "",
    "ops": "<!(node scripts/list-ops.mjs)",
    "sanitize%": "",
    # of x64: "avx2" or "avx512", the only instruction set to be built, for tests that run no other. Default: all
    "isa%": ""
  },
  "target_defaults": {
    "defines": [
      "NAPI_VERSION=8", "NODE_ADDON_API_CPP_EXCEPTIONS", "NODE_ADDON_API_CPP_EXCEPTIONS_ALL", "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS"
    ],
    "cflags!": ["-fno-exceptions"],
    "cflags_cc!": ["-fno-exceptions", "-fno-rtti", "-std=gnu++17", "-std=gnu++20"],
    "cflags_cc": [
      "-std=c++17", "-O3", "-fvisibility=hidden", "-fvisibility-inlines-hidden", "-ffp-contract=off", "-fno-math-errno",
      "-fno-trapping-math", "-Wall", "-Wextra", "-Wno-psabi", "-Wno-unused-parameter", "-Wno-missing-field-initializers"
    ],
    "xcode_settings": {
      "GCC_ENABLE_CPP_EXCEPTIONS": "YES", "CLANG_CXX_LANGUAGE_STANDARD": "c++17",
      "OTHER_CPLUSPLUSFLAGS": ["-O3", "-ffp-contract=off", "-fno-math-errno"]
    },
    "conditions": [
      ["sanitize!=''", {
        "cflags_cc": ["-fsanitize=<(sanitize)", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1", "-O1"],
        "ldflags": ["-fsanitize=<(sanitize)"]
      }]
    ]
  },
  "targets": [
    {
      "target_name": "bayescnn",
      "include_dirs": ["<!@(node -p \"require('node-addon-api').include_dir\")"],
      "sources": ["native/addon.cpp", "native/cpu/pool.cpp", "native/cpu/isa.cpp", "native/cpu/device.cpp", "native/cpu/glibc.cpp",
        "native/program/steps.cpp", "native/program/contract.cpp", "native/program/culprit.cpp", "native/program/library.cpp"],
      "conditions": [
        ["isa==''", { "dependencies": ["ops_base"] }],
        ["target_arch=='x64' and isa!='avx512'", { "dependencies": ["ops_avx2"] }],
        ["target_arch=='x64' and isa!='avx2'", { "dependencies": ["ops_avx512"] }],
        ["OS=='linux'", {
          # registration is by static initialisers: every object of the op libraries has to be kept
          "ldflags": ["-Wl,--exclude-libs,ALL", "-Wl,-z,nodelete", "-Wl,--whole-archive"],
          "libraries": ["-Wl,--no-whole-archive"]
        }],
        # of the C++ library only what is used: the rest asks for a newer glibc (native/cpu/glibc.cpp); libgcc_s comes with node
        ["OS=='linux' and sanitize==''", { "ldflags": ["-Wl,--gc-sections"], "libraries": ["-static-libstdc++"] }],
        ["OS=='mac'", { "xcode_settings": { "OTHER_LDFLAGS": ["-Wl,-all_load"] } }]
      ]
    }
  ],
  "conditions": [
    ["isa==''", {
      "targets": [{
        "target_name": "ops_base", "type": "static_library", "sources": ["<@(ops)"], "include_dirs": ["."], "defines": ["ISA=base", "ISA_LEVEL=0"]
      }]
    }],
    ["target_arch=='x64' and isa!='avx512'", {
      "targets": [{
        "target_name": "ops_avx2", "type": "static_library", "sources": ["<@(ops)"], "include_dirs": ["."], "defines": ["ISA=avx2", "ISA_LEVEL=1"],
        "conditions": [["isa!=''", { "defines": ["CONTRACTS=1"] }]],
        "cflags_cc": ["-mavx2", "-mfma"],
        "xcode_settings": { "OTHER_CPLUSPLUSFLAGS": ["-mavx2", "-mfma"] }
      }]
    }],
    ["target_arch=='x64' and isa!='avx2'", {
      "targets": [{
        "target_name": "ops_avx512", "type": "static_library", "sources": ["<@(ops)"], "include_dirs": ["."], "defines": ["ISA=avx512", "ISA_LEVEL=2"],
        "conditions": [["isa!=''", { "defines": ["CONTRACTS=1"] }]],
        "cflags_cc": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx512bf16", "-mavx2", "-mfma", "-mprefer-vector-width=512"],
        "xcode_settings": { "OTHER_CPLUSPLUSFLAGS": ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl", "-mavx512bf16", "-mfma"] }
      }]
    }]
  ]
}
