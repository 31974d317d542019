# SPDX-License-Identifier: MIT
# Where things are installed, and by what name the library is preloaded from there.
#
#   multihome_libdir           the library's directory, below the prefix
#   multihome_preload_libdir   the same as the dynamic loader may be told it: with $LIB where that is the same place
#
# $LIB (ld.so(8)) makes one name serve 64-bit and 32-bit programs. It also keeps programs of musl's loader working, which
# does not know $LIB, finds no such file and goes on without a word; given a full path it would load a library of glibc's
# and end the program.
set(multihome_libdir ${CMAKE_INSTALL_LIBDIR}/multihome)
# The launcher and multihomectl find the library relative to themselves, so that an installed tree can be moved.
file(RELATIVE_PATH multihome_libdir_from_bindir ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_LIBDIR}/multihome)

# What the loader makes of $LIB: Debian's is patched to name the architecture, others say lib64 or lib. This machine's
# loaders tell by themselves (since glibc 2.33); there is one for each word size.
set(multihome_loader_libs lib/${CMAKE_LIBRARY_ARCHITECTURE})
if(NOT CMAKE_CROSSCOMPILING)
  file(GLOB loaders /lib64/ld-linux-*.so.* /lib/ld-linux*.so.*)
  foreach(loader IN LISTS loaders)
    execute_process(COMMAND ${loader} --list-diagnostics OUTPUT_VARIABLE told ERROR_QUIET)
    if(told MATCHES "dl_dst_lib=\"([^\"]+)\"")
      list(APPEND multihome_loader_libs ${CMAKE_MATCH_1})
    endif()
  endforeach()
endif()
if(CMAKE_INSTALL_LIBDIR IN_LIST multihome_loader_libs)
  set(multihome_preload_libdir "\$LIB/multihome")
  file(RELATIVE_PATH multihome_loader_prefix_from_bindir ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_PREFIX})
else()
  set(multihome_loader_prefix_from_bindir "")
  set(multihome_preload_libdir ${multihome_libdir})
endif()

# In LD_PRELOAD a space or a colon ends a name. The prefix can be chosen twice: here and by cmake --install --prefix.
set(multihome_prefix_complaint "the library's path would hold a space or a colon, which end a name in LD_PRELOAD: choose \
another prefix")
if("${CMAKE_INSTALL_PREFIX}/${multihome_libdir}" MATCHES "[ :]")
  message(FATAL_ERROR "CMAKE_INSTALL_PREFIX is '${CMAKE_INSTALL_PREFIX}': ${multihome_prefix_complaint}")
endif()
install(CODE "if(CMAKE_INSTALL_PREFIX MATCHES \"[ :]\")
  message(FATAL_ERROR \"The prefix is '\${CMAKE_INSTALL_PREFIX}': ${multihome_prefix_complaint}\")
endif()")

configure_file(scripts/packaging/uninstall.cmake.in ${PROJECT_BINARY_DIR}/uninstall.cmake @ONLY)
add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} -P ${PROJECT_BINARY_DIR}/uninstall.cmake VERBATIM)
