;; SPDX-License-Identifier: MIT
;; Echo on one socket, which serves both families when the wildcard is an IPv6 one.
(use-modules (rnrs bytevectors))
(let* ((port (string->number (cadr (command-line))))
       (family (if (string=? (caddr (command-line)) "::") AF_INET6 AF_INET))
       (server (socket family SOCK_DGRAM 0))
       (data (make-bytevector 65536)))
  (bind server family (if (= family AF_INET6) 0 INADDR_ANY) port)
  (let loop ()
    (let* ((received (recvfrom! server data))
           (answer (make-bytevector (car received))))
      (bytevector-copy! data 0 answer 0 (car received))
      (sendto server answer (cdr received))
      (loop))))
