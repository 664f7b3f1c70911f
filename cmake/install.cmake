# SPDX-License-Identifier: Apache-2.0
# What is installed where (GNUInstallDirs). The one command is in bin, the roles that only it starts
# are in libexec/gatehouse; it finds them by the way from the one to the other, so that a tree may
# be moved as a whole.
include(GNUInstallDirs)

set(GATEHOUSE_ROLES_DIR ${CMAKE_INSTALL_LIBEXECDIR}/gatehouse)
file(RELATIVE_PATH GATEHOUSE_ROLES_FROM_BIN
  /prefix/${CMAKE_INSTALL_BINDIR} /prefix/${GATEHOUSE_ROLES_DIR})

# After the folders of src/ are read.
function(gatehouse_install)
  install(TARGETS gatehouse RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
  install(TARGETS gatehouse-audit gatehouse-gateway gatehouse-vault gatehouse-courier
    gatehouse-exporter gatehouse-sandboxd gatehouse-warden gatehouse-init gatehouse-control
    RUNTIME DESTINATION ${GATEHOUSE_ROLES_DIR})
  install(FILES docs/man/gatehouse.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  install(FILES docs/man/gatehouse.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
  install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING
    PATTERN "*.md" PATTERN "examples/*.yaml" PATTERN "*.schema.json")
  install(FILES README.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
  install(FILES packaging/gatehouse.yaml
    DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)
  install(FILES packaging/seccomp.json DESTINATION ${CMAKE_INSTALL_DATADIR}/gatehouse)
  install(FILES packaging/gatehouse.sysusers
    DESTINATION lib/sysusers.d RENAME gatehouse.conf)
  install(FILES packaging/gatehouse.tmpfiles
    DESTINATION lib/tmpfiles.d RENAME gatehouse.conf)
  # The command itself writes what completes it.
  foreach(completion IN ITEMS
      "bash gatehouse ${CMAKE_INSTALL_DATADIR}/bash-completion/completions"
      "zsh _gatehouse ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions"
      "fish gatehouse.fish ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d")
    separate_arguments(completion)
    list(GET completion 0 shell)
    list(GET completion 1 file)
    list(GET completion 2 place)
    set(made ${CMAKE_BINARY_DIR}/completions/${shell})
    install(CODE "
      file(MAKE_DIRECTORY \"${made}\")
      execute_process(COMMAND \"$<TARGET_FILE:gatehouse>\" completion ${shell}
        OUTPUT_FILE \"${made}/${file}\" COMMAND_ERROR_IS_FATAL ANY)")
    install(FILES ${made}/${file} DESTINATION ${place})
  endforeach()
  # The unit names the command by its absolute path, which is known only when it is installed.
  install(CODE "
    set(bindir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    configure_file(\"${CMAKE_SOURCE_DIR}/packaging/gatehouse.service.in\"
      \"${CMAKE_BINARY_DIR}/gatehouse.service\" @ONLY)
    file(INSTALL \"${CMAKE_BINARY_DIR}/gatehouse.service\"
      DESTINATION \"\${CMAKE_INSTALL_PREFIX}/lib/systemd/system\")")
endfunction()
