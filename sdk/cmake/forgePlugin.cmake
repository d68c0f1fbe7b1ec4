# forgePlugin.cmake -- how a plugin is built, inside this tree and outside it alike. find_package(forge) includes it.
#
# forge_add_plugin(NAME [NO_INSTALL] SOURCES file.. [MANIFEST file] [OPTIONS ..] [DEFINES ..] [LIBS ..]): the shared object
# forge-NAME.so, which sees the headers of forge::abi, exports its entry alone (forgePlugin.map hides all else, static
# libraries' symbols too), binds its own symbols to itself, leaves none undefined and carries the C++ runtime within, if it
# needs one. It is put into FORGE_PLUGIN_DIR (default: the build folder), its manifest into backends.d there, as the core
# expects them; so `--set backend_path=BUILD/backends.d` tries a plugin before it is installed. Installed they go to
# CMAKE_INSTALL_LIBDIR/forge, where Forge looks if it has the same prefix and was installed with the same CMAKE_INSTALL_LIBDIR.
include(GNUInstallDirs)
# A property, since functions are seen everywhere and variables are not.
set_property(GLOBAL PROPERTY FORGE_PLUGIN_MAP ${CMAKE_CURRENT_LIST_DIR}/forgePlugin.map)

# forge_add_manifest(FILE [NO_INSTALL]): copied beside the plugins of this build, and installed.
function(forge_add_manifest file)
  cmake_parse_arguments(ARG "NO_INSTALL" "" "" ${ARGN})
  forge_plugin_dir(dir)
  get_filename_component(file ${file} ABSOLUTE)
  get_filename_component(leaf ${file} NAME)
  configure_file(${file} ${dir}/backends.d/${leaf} COPYONLY)
  if(NOT ARG_NO_INSTALL)
    install(FILES ${file} DESTINATION ${CMAKE_INSTALL_LIBDIR}/forge/backends.d)
  endif()
endfunction()

function(forge_add_plugin name)
  if(CMAKE_VERSION VERSION_LESS 3.18)
    message(FATAL_ERROR "forge_add_plugin() needs CMake 3.18 or later; this is ${CMAKE_VERSION}")
  endif()
  cmake_parse_arguments(ARG "NO_INSTALL" "MANIFEST" "SOURCES;OPTIONS;DEFINES;LIBS" ${ARGN})
  forge_plugin_dir(dir)
  get_property(map GLOBAL PROPERTY FORGE_PLUGIN_MAP)
  add_library(forge-${name} MODULE ${ARG_SOURCES})
  target_link_libraries(forge-${name} PRIVATE forge::abi ${FORGE_PLUGIN_LIBS} ${ARG_LIBS})
  target_compile_options(forge-${name} PRIVATE ${ARG_OPTIONS}
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>) # unique symbols keep a library mapped and tie copies of it together
  target_compile_definitions(forge-${name} PRIVATE ${ARG_DEFINES})
  target_link_options(forge-${name} PRIVATE -Wl,-Bsymbolic -Wl,--exclude-libs,ALL "LINKER:--version-script=${map}")
  # A sanitizer's own symbols come with the program, and it looks for the C++ runtime among shared libraries.
  if(NOT FORGE_SANITIZE AND NOT "${CMAKE_C_FLAGS} ${CMAKE_CXX_FLAGS}" MATCHES "-fsanitize")
    target_link_options(forge-${name} PRIVATE -Wl,-z,defs "$<$<LINK_LANGUAGE:CXX>:-static-libstdc++;-static-libgcc>")
  endif()
  set_target_properties(forge-${name} PROPERTIES PREFIX "" SUFFIX ".so" LIBRARY_OUTPUT_DIRECTORY ${dir}
    LINK_DEPENDS "${map}" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    SKIP_BUILD_RPATH ON INSTALL_RPATH "") # a plugin looks for nothing beside itself
  set_property(GLOBAL APPEND PROPERTY FORGE_PLUGINS forge-${name})
  if(ARG_NO_INSTALL)
    set(no_install NO_INSTALL)
  else()
    install(TARGETS forge-${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/forge)
  endif()
  if(ARG_MANIFEST)
    forge_add_manifest(${ARG_MANIFEST} ${no_install})
  endif()
endfunction()

# forge_plugin_dir(OUT): where the plugins of this build go.
function(forge_plugin_dir out)
  if(FORGE_PLUGIN_DIR)
    set(${out} ${FORGE_PLUGIN_DIR} PARENT_SCOPE)
  else()
    set(${out} ${PROJECT_BINARY_DIR} PARENT_SCOPE)
  endif()
endfunction()
