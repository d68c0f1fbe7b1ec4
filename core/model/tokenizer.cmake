# Tokenizer sources of the model room. SentencePiece's file format is described in sentencepiece.proto; protoc-c turns
# it into C at build time.
find_program(PROTOC_C protoc-c REQUIRED)
set(spm_stem ${CMAKE_CURRENT_BINARY_DIR}/sentencepiece.pb-c)
add_custom_command(OUTPUT ${spm_stem}.c ${spm_stem}.h
  COMMAND ${PROTOC_C} --c_out=${CMAKE_CURRENT_BINARY_DIR} --proto_path=${CMAKE_CURRENT_SOURCE_DIR} sentencepiece.proto
  DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/sentencepiece.proto
  COMMENT "protoc-c sentencepiece.proto" VERBATIM)
set_source_files_properties(${spm_stem}.c PROPERTIES COMPILE_OPTIONS -w)

set(TOKENIZER_SOURCES ${spm_stem}.c ${spm_stem}.h)
set(TOKENIZER_LIBS PkgConfig::JANSSON PkgConfig::PCRE2 PkgConfig::UTF8PROC PkgConfig::PROTOBUF_C PkgConfig::XXHASH)
