using System.Text;

namespace Vmm.Unit.Firmware.Compression;

/// <summary>What the samples hold: small enough to state as formulas.</summary>
public enum Source
{
    Text,
    Code,
    Letters,
    Runs,
    Noise,
    Zeros,
}

/// <summary>Data compressed by xz-utils 5.4, lz4 1.9, zstd 1.5, gzip 1.12 and bzip2 1.0.8.</summary>
public sealed record Sample(string Name, Source Source, string Base64)
{
    public byte[] Bytes => Convert.FromBase64String(Base64);

    public byte[] Expected => Source switch
    {
        Source.Text => Text(),
        Source.Code => Code(),
        Source.Letters => Letters(2_400_000),
        Source.Runs => Letters(60_000),
        Source.Noise => Noise(),
        _ => new byte[300_000],
    };

    static byte[] Text()
    {
        var text = new StringBuilder();
        for (var i = 0; i < 300; i++)
        {
            text.Append($"line {i}: the quick brown fox {i * i % 97}\n");
        }

        return Encoding.ASCII.GetBytes(text.ToString());
    }

    /// <summary>Bytes that look like CALL and JMP with operands that start in one another.</summary>
    static byte[] Code()
    {
        byte[] frequent = [0xE8, 0xE9, 0xE8, 0, 0, 0, 0xFF, 0xFF];
        var bytes = new byte[2000];
        var state = 1u;
        for (var i = 0; i < bytes.Length; i++)
        {
            state = state * 1103515245 + 12345;
            var value = state >> 16;
            bytes[i] = (value & 0x18) != 0 ? frequent[value & 7] : (byte)(value >> 8);
        }

        return bytes;
    }

    static byte[] Noise()
    {
        var bytes = new byte[600];
        var state = 7u;
        for (var i = 0; i < bytes.Length; i++)
        {
            state = state * 1103515245 + 12345;
            bytes[i] = (byte)(state >> 16);
        }

        return bytes;
    }

    static byte[] Letters(int count)
    {
        var bytes = new byte[count];
        for (var i = 0; i < count; i++)
        {
            bytes[i] = (byte)('a' + i / 1000 % 26);
        }

        return bytes;
    }

    public override string ToString() => Name;

    public static IReadOnlyList<Sample> All { get; } =
    [
        new("Xz, CRC64", Source.Text,
            "/Td6WFoAAATm1rRGAgAhARwAAAAQz1jM4CYMAyldADYaSh8IoCZWTg1suKXtY5yOfNtO9p5LeBhWXPd7jxaD0Va3Qsxz4f5Cdf27atOfyudOcqyCXzZ3tjFQOGSAeHLWjtm8Hu2SBvvX" +
            "NWVouL0epV+U1/1jVP01sygs/iHhgqDvHy6Zs4hSI7edfsukpY1xeu1+myUC/JLNAN404KFiFb8e5t1cCDnQe6if27n5pjIWEN9dMAFOV17fX3LCyA4ysdD6ON/Md9E77LoToLZoJ1h2" +
            "/Z37RxDNz6Ip/HeG5lgS+6M4Kr6ZJmIXtlHhmfpFtR+0iTbyA6VqexJeqd1XYKFFTkp93W/mN985KJ64BeiHhfKBJXY1fWIbv8FFUmJExPxAWepAmvYzU5cdzacwnTXcgAKT0MOyhexA" +
            "+vTQJzLgCDn0bAebOEHnKOGGuR5PX22EBnUOIaay+bGDKA0ugUpv3834ZtBDHMs/nFWK88tBwroOO9rCJBymj2L61ztGJEYk90Cf+C5o8aDIzDf6MueNtAZ7WJKuFmgE8GabDH+clegc" +
            "M7z0uqtH8Y9Q+AYZoe4bu/slGg62wAn0/Nm4nIdvg0eDeTRoyyT5bMCvJEbGNNCopMEl6dKn31lrxZUFasPxOQCJo9FtJYvL4K/C1qhPbVbaso6KhQijWJiAwNJLS6Xe7iIgP9NFwdHQ" +
            "1n7ClCtfmkYDWB6XNu+S/21BDtWCj9/d03KNGb7xruuroh+JSbqnLIlWJa+PdzKs0RfkbN9HpM+EE//GoWh0cJuFEOzO+Vxqoxk/np/1W+TTBLw2fuvxhLFW6nVhS/cvrXuewfIGErWt" +
            "2InF3WHq2E7PYs3nIUdaJtq8z4MOP3K2vcxLKG4np9D4M9Qa0mSWiESjoSgVMcBGSFdNEmIyOaCYvX9cZlp+FnpULyRRUjx75CT+TNar6YwYKsuiHGd12oxaGFGjUnOgzD+6mVgcpW1C" +
            "LIE9PPqJYG1zdpkZrVjUly4DH+kqb7cJ1hl0WGygSwuY2CAicBmWVQ3sMGP3ju7a186t1U+8H1iqTctwp5xkwDMxB6VQDXwLtbCWNmB1a9tYlyl2nnqZRQ7biTguUFnVniyUIPKA1shS" +
            "AAAAAEwUF8/uOVAqAAHFBo1MAAA4tINrscRn+wIAAAAABFla"),
        new("Xz, x86 filter, CRC32", Source.Code,
            "/Td6WFoAAAFpIt42AgEEACEBEACLIW9J4AfPBhNdACC/wOANHpWhNeIDv3ku9FvNHRWELvRYutRyAIuKMIsJ+ZnGFAIv56aBpcsobn1cB6mDdGVX+kK3zDunkzn7/SUa5MM3exCh8gbo" +
            "s/TgXJ/4Qct1jAbz34b0YCv4k3968RWKKggTo6Obc+uHEHqCZQrYEDcagoR0Muh8p8knXeJ4r5sU+gvT8xERzeBY/GQmAf6ItteyW+PCrxIut8DVbtLyJFm0nqJf26Kifug4c+MuzB34" +
            "Ee5zES8u3EBNepjggN41jZuPU5Rg8PWrVdRYVzhU4j4YoI4vbFAStGnXbk8jMbvj6j8nuev/Act5WTB3YlZrySZAZzQkPdop86pSEdLEIk+7zESSJ2IG4cSlWErHq+6r++NGGYn8aMwe" +
            "vmphmZDGllABBtl38FGdo4UKZXpqUicyhcpXAfQtyTUG7wsBx+3ckYH4xnnZugaBCZX75JcyU3ccPFnGUH/8CTucW943OeQ5se1qHZpIzpeCCQdsYFT/SqS5F+xGGOIFYOBcimyQM6ut" +
            "zIPG0D1G3zQn+KG9grkfX42aIFh6IgcekR/PfXxaEgVqHMgvHXvT3J6gK+uZNxjIqPSstV1Tn4q2xkdik0SNcpYVAIGV1PzvOPr5rmYIa9oYF+OmbTfQOg5jSbxKGBmnYoDqPCC75pzr" +
            "3J9NmSRootLZWKrMGi+bGoqTlFwOGIxxyokCtxD8SLOVmLXFb5a57RoM9DgJZh4K7QA+evPM0rDkF88gxeeIjXwqc09X82bnuQYMRldHAqR6W2mFOpQ0nfaexST0mQmQsT+CxtZuvefS" +
            "d1x/dIYRv1oIv3sSZvgxziZy9u/7u1tNQTkSsilj/N3ryRLWH+jH95k4lXihtPBbZRw9hFqdpm+Y8OJw1h0NYFe/5x6SUaDIivyBbfFy4I3HXSG1FNcJH58OFlnhI6ggNXrRzhV+iMZf" +
            "RxugcucUYrpJnidYpTwVTJZaUHLIqj7qyzvDBanRYHEfsgzokL05/cFJ8SdaUun++6lRIbKGiPv9FKGjIHVuEErUYTONcXBbkVhzUhWCPe6HDRCn5owr99VKA+5d2Wih+ZJ0I+usW8Hm" +
            "HcrC+o8lOZWu7juwAc7/70zNoBBgUBdadlJQNw8jjhWSIupq/vu7yXkcxHO1SICZiw8KvoDqdxsUcOTG5IF4ifaBxQYz+oNUZptg5fnRXxlKUyrAHLWZ3bMC8I2U6VBJ2sEYR040kx8F" +
            "LP6hfjfx5Gk90uime/csA4zOPlX2WRQzUEOzsKf0mL4JydurTHauTeLkbvUSewZXOI51EoYp+SngTHs+b9tpnAA+zw089qf7rhzXJYRFXYmDJdm1i7EqucJ2oPG/g61kMKanRWxTZ4dY" +
            "1vAC/Z3Cm9uw5wNt++lwZ2AxJeEbvY2iymPnzxR36HN7BpH0IVLhrZSjM1xbqiFaacJW1ALqDzev+ttAR44qx0IKjYVRugucDv87u9iazWkdl9tPBH5baPni2vMCRLgDGy7ahWlsk2Se" +
            "aiV28uaf1izrfXQVqAGeXPhntrMeK8kb3HNcOvyZIRHwWtxuk+GhiTxIz8pXkvNgwBWSduxeRAAWxYUCULVvduMb2xVIJg6cAQsKbvJBGYv3UN1pddWh664UN2hG9wTZdGhtMmYdWxUj" +
            "lSapgQ3SSX2oH/MMymMGPfsJ7wC7ALdI6oI1Po0MR5G8RlVl37ARxMgXyrQ885LWbcYFXf/av5QiCJ3jz5EbkGP7eIvxoX7wo+bZE0mBMRHQwbBoSO9g8vlLTrgCAhr204NrOyzVSpRs" +
            "IvhE8shcUrnSm1FvavP0O9Ut17oGh3iJV1DJy7+ZtwYy5Rnx/MGxu/bks2ymE3LJRzCi2/EiuuHW2/ZyofSnsRxztqRoDOcBqSzFBiEorNjZoOtWtKqMW54ywGaQxhceHVMS+GEFoXx2" +
            "yd9o74NUUPyuJ7nwkqZewH0u3nY5Hq7fDVSbnJi1kZmFiY/SYF9j1F2ZyNZZt6nfAj3F3X7VZdbeQuSIwmQPkjgVgWFj4M0UHW3ZGKwxOhlosm/WPBpwyQml2J6vObAaIOjaa3PQkxng" +
            "K0B9oCtAwmNVEx0AAKErgH8AAasM0A8AAFUmdlg+MA2LAgAAAAABWVo="),
        new("Xz, three blocks with sizes, SHA-256", Source.Text,
            "/Td6WFoAAArh+wyhA8CvA6AfIQEWAAAAvakFc+APnwGnXQA2GkofCKAmVk4NbLil7WOcjnzbTvaeS3gYVlz3e48Wg9FWt0LMc+H+QnX9u2rTn8rnTnKsgl82d7YxUDhkgHhy1o7ZvB7t" +
            "kgb71zVlaLi9HqVflNf9Y1T9NbMoLP4h4YKg7x8umbOIUiO3nX7LpKWNcXrtfpslAvySzQDeNOChYhW/HubdXAg50Huon9u5+aYyFhDfXTABTlde319ywsgOMrHQ+jjfzHfRO+y6E6C2" +
            "aCdYdv2d+0cQzc+iKfx3huZYEvujOCq+mSZiF7ZR4Zn6RbUftIk28gOlansSXqndV2ChRU5Kfd1v5jffOSieuAXoh4XygSV2NX1iG7/BRVJiRMT8QFnqQJr2M1OXHc2nMJ013IACk9DD" +
            "soXsQPr00Ccy4Ag59GwHmzhB5yjhhrkeT19thAZ1DiGmsvmxgygNLoFKb9/N+GbQQxzLP5xVivPLQcK6DjvawiQcpo9i+tc7RiRGJPdAn/guaPGgyMw3+jLnjbQGe1iSrhZoBPBmmwx/" +
            "nJXoHDO89LqrR/GPUPgGGaHuG7v7JRoOtsAJ9PzZuJyHb33cYfUAABoOAmityOJ51fRN2Amiyxek+rFyjoUxOUG0Sxz2FPQmA8DyA6AfIQEWAAAARaTvP+APnwHqXQAZDUOx+GKsFBFX" +
            "4ev51CpVP3cvQS/6boGZ8whqEDxHANginVK4MxoIUjD2/Grnf5Ws+rm8ld71eV36c7v8NslwcumVDbUEoHAu4B4mcsaXOAHGcuJbn63b/JGPlRjtLAjrA0zZ9B/P/dyYxidb9vO60dfI" +
            "JrvYmkf0wy5SGCzLJBCTbRzvI6oCEpNx65NgSLDjQgAzfnI6js7/K3y2TfP7P8WgLVPbUmbkAJnjADKhRTlAn4thCXwNfXwZ5lsjBB+0NWrznHS51Iokdfi04wTshUjEXGxOqP37N+dU" +
            "9FgYTT6w7+Wjrgc3AMFVuKUjT25tT9qTfUABD7TpJJRXdjYHVeQsu13CTdYRRscAlq5ax8CKLLZBjxp7izY5lig1AVp7uRXYZYi+mVPSw1oejoyoYWzA58Ec+3dJhobMzGjnBNNxo9jT" +
            "rSLk96WDSuYYjRbATPk+WnmvO+WHQxBgFn2hiYUI1isVntK6mRQE4xNmjaHxMSEv1sBU+nbGNV4wNawtI2EjO2G2rkWiRP1YrFTqd8zQz1Zy/8VPnkRcjhYLCNxoGnpSqOzxYIQMR15K" +
            "gp1RSSmwDUwN28OhfcE5cOQEXaHzryuSXEaXMqumpyxVF837EzWyohsYCTVsqHHA/zzW5SeiA+cDTiS3AAAAaPqdmxU4rWIAiCAIowdQC2//3eK9L7SN0EsNpnDXWBoDwPoBzQ0hARYA" +
            "AAC69GG54AbMAPJdABwNPVDmDU5f2lIKpDEVEjisRMge7rE0hkAJ5M39ITvQzuty65teK8iVmupk6pw1//gXt4SmnU+RKGzWPe65CZsyu21+cWa95yCrS8/VNYoSvCObn27vcj82+i21" +
            "uThbnJ772wvVwSH1YSfi5hJqIpRlzSUTsFtgSvWUT/AF3q0pweEIzP7RMQVOi+pW+zGTLAcx9xgMhTH5rMp9+zVbmcb2ggEYDpVnAwjVtGWiUxWRbCphMXwdQmGVDSsh5LSqI0htqAgS" +
            "SsNKFGTZAhrhzYBRYxYWDcQ14gUdncwiG3zrHSu80pfkxx64Ein0If/VYOcGAAAATUnaBB/Le4IuWJJ1NhgxCf/bPFhAEBw+S1bPlaiv6DIAA98DoB+iBKAfqgLNDQAAVR06cqsKhsoE" +
            "AAAAAApZWg=="),
        new("Xz, stored chunks, no check", Source.Noise,
            "/Td6WFoAAAD/EtlBAgAhAQwAAACPmEGcAQJXbE50khMlIi4xoc0TvhLtQmlmziT8I9fajSCXYWoGlW7CitQDE2go1FcePF3ubl7ASpERX107UT7CU6QWrW7lOJQR0Ciao0z1wDR8Wcrw" +
            "hJXzYRsLUGjVmAT5LrcpmVVXeZm+eMAQZocCmeV/bNI1vPuPRJ3u4jvh7MyMv/W/vsIL2/hrnOVPhbYHz0bpSksq+9Tlj0/hXBESghijKxj3ct+P1XpHW97kdDSTJlyRndmL5lRZip0P" +
            "Hw7UKt3g3NhekG6tHNmr6p7T2oiY2+ADwUJ+63K4TSwDd3sY5S9DOX+0LtnKagtNq2yvBhN/bVXZuVQBUvEri7blLTwyLoXzzOSIsPsRtN8C1mxlEF9xbBmIIO9yTG4EL/Kj7Dz22dw+" +
            "uDSJJ+fedpuryf0GlSQfekeaC0niTW9nNJWCfJ95zszH6b7HA8Hsb4F+J243vkXzjXqvUMsCpVVEvFVqQJugbqphp1N+lRd28UQ5v113uX3zdzH+H8N98brOvnzyeSod+VOaQnCS0aaS" +
            "0Y1xIIdQDxBL68z1ys80LYQTLcxJRdBMd/AM8fDx+f3dev2YJuOhfq00MWZNcxU2la7y6ETHgDqEAioY51BnyiJZ292MSyzTVGWlioVCjWy75kVco4okWzQnE/6vxOeQV4CBBvBfqKf6" +
            "1KF4qhKTaa0TnkCcZbVJPbc/un8ncug0SWosjPcLk1XbnEn1vSDDI410rmgwKppZCydmkVD+anELC2eX61AvH9EPFJwaKxLUrT+8P8N75z55QxgcF4auxR7ez0gTbBMODnHz2AGtAAAB" +
            "6ATYBAAAWNIrKKgACvwCAAAAAABZWg=="),
        new("Xz, small dictionary that slides", Source.Letters,
            "/Td6WFoAAAFpIt42AgAhAQAAAAA3J5fW//9nCXFdADDv+7/+o7C58J5UiHw30CVs7sIYb3ErQ8B5naHoonnPMn2GCFZc+WNEsME3vSq7VJmJYd6DoYPYatwx0NVDoRKKvRzEXeV4sHP1" +
            "vuKNRbYZJmaBKaLPn7rT+z7/e/pd/UDGZj8EZTx6JE752djwCSt/H9prhduS2Y1oUnb44rwDevJZiDzT5Y5rWplMTpB+TfwimfQI8HiJH3dMYv6PU/aG807+kyD4k4KVCcM4VYvCk9oO" +
            "EJ9KGZYfRxjowT4hKpktEe8oUcqlLVDWXPD52/6Kbr0KMcsIVnD5KlZls7Mtudh8MNm/O7G2KMOCKVbe//HJmhQ+1h6wM2G9LOiv47OunlzScSfvjO94JjQhk3q6qXUk1Kr6ruvArRrv" +
            "uZEpcvc6yUTS/t5tXD9uC+KYWF1iC1TukpH/mi/Utf7JCpu5l/3uJ81I4Qu2NxBmoEdQ+9Zm+AKqGyC9CX2fq0fThlUBlk1Ct63gfKlAy/97pu+fmCSM8F/DAogzA11hDsQSiQkrzPJl" +
            "hTFBF7qgH1gbrn4dbw6QoQjeFQHvTpwgqWUHqjNoCUBrsGcW+/1E4GSrtt7zh07HDSBcy91EzOMjQIkToHYLdSZ6NTQL9qhrsmO1Ul1jCiGUhXXvzfhxtVYwspZkwlaFOJ02eX15B0bO" +
            "odD8HY55GQt68sxKOc9VYU/nlH6ObpzXDeNIAQt0QYYz/qWoUkxq/l3sCBl2L0heBKVInDCjN+7ElZQ0UaeE4AL8HVhTzY1xalEMpFTYhk1VwS8eSZJehqhLVmOthwN3BsR+BfR0N5zE" +
            "JGF1KRAdZM9rCWqNYF/FDXJlvKMlQ67GaM91Eq+zORjR7BdmnVQ4xEiQHjXUw+3GkkTm37/+32rrxqDOAUHorwaq3dXwFIxSaM1z4VGM6GurluAcP2SMTyGJ9IK60RbLOtfFnv73tEPI" +
            "cFPYyx2XCWQRJkeo7q8mL44R2YOl0nlONFqMtCgoe+WDRnID8XHnfinGaV1lXOBY97Bq/cDNp7SswTzKEhYDhXNzDmaVsewVJLDGYk3KsscqXz+eNDSE3d48RogbqS4yYdXwSwA7e7nA" +
            "gL/obVp01MHEChtQwpgv0pod237YyKAmOE/tNsAt33n/7BqYfJ+pAUL6DK+0ESegly55u4QgGkDUeBHFxfYh5rq3zAuAXoiCKzL/DOr7KkYZ6Zw6YyUjXpYkZ0jDBW3YriKn6+eNIkob" +
            "VzymA/S/or2QNpcI6H+gOsGtXID4/Isc8M8s0884XoAfNZathuYoyNzm+GpjGBm4J5gnB+AM6oi+ikEAgU5d6ogQ72xNOg4abAIW4VI0/PEegO+4xZATaVty4hNv5Z2PPKM8sVtx5BFI" +
            "qxqCgHzngP13l2TuaSzZ8sAxUxMRLFakKrzsGNGA6p89sghDDz//60VOjMp8+RLVlVbirLUmNbB9r6NRtuDEQqWCznwkvJN8DAOIzTR1dVYPmgJtvHYcePent+/6ZMvv2kRkfHrWD/Qf" +
            "cYyySPIYnrblbVtJO+hFLzTmoSiXzoAL9OV9NZRplSn69c7UEGOL72fwlcq8HvPt6FYAIIbNKdj0Yh1uebARwZxpL5ypt9DSdhDlP+7nx84aUWr27Lrq6KexN6U4b1O5kRJq8uGpt7UJ" +
            "BaLfMePLyJD3xZyEdXiBmPuJBZxGdu8jFlIRmZo1hHMZtm5hfBH5LGjbv7Ok1NEU5e0kcSPmyzLECKtiwZPncqxDsnTw/7TRqty8SS+pO2HbfHF7+wKPmKIPmawM2qlHmF9NwwQproUx" +
            "WvSkT06kmAeb3DJwQA/ziL6uK/Cij2XGXBDlBddo8J9E1riJJtz9fx/ob2k8xaJCQPrt47oFRj97c6slM6d/wd6gWoZdUIa5dyl1kURUTJj9/HpWB6ArqQazDaq2FkEVk1mf7rDZumwP" +
            "bD5XhfuFEaaL1RxVrpCwxmVjh0a4ANgRaPphFpegWaZt1+doBxDZhA6YA4jCdDY17qiTMsBY6rqasiTEcuQBxKhJug+b7h7sNOwH+tk4NYyRk6Tim19A06SoIwkV/AuJbb1bcBxQY6jv" +
            "xVygs6zyzfmrJ1O4Y6Tjgdek+hfeQsz1AcT/dE/GzvU88EKRCBZJIFmUuVpjeouv3FscJSy27UFPOvSUVCv0XRCd7ApU9k+WLTfUtcpCD29G/V8qIpJjU2rnrq8RmTeOy7Y+jPBQ7gAp" +
            "wXKPCHb8qwsczQcfz9ms/Kv72PrgB0zBRYyQiBhOeev/Q2/bAZGcGeAARzOQVOftqH8TT1KEKgS7Hc6MqKCRM23AQmWBkY8/JMFmeKeEciYFYfqz/bi9c5uIBMduRRsKxbQMJBROucmg" +
            "rQXvDn3ayXXqr1nKDDkvd2fsesZ4cVJFKrrSq4POYCsEQhUWTsEQ1xj7PW9kOF1bsHsQcWTtG6Tm9oaTOynyJZTNfgeI0cdduJuM6qMcHDauyIAjeswlpA4hhBf4w74vtrosfPM5n5YE" +
            "HYTUg/s6TrAKfDmT/wfThrXNIor/zATO9HsDE6kcnEmJdk79za68FdUSDmmiV6BtogVoyn6mWQ+lqz45Xn59YKkVq2fh7X9QxOqD1KdCEPiDdFOLQ0/toHZmgEBvCMkXlv6w9Fubr5In" +
            "O7S1w0hCd4kgV4Nkxs+0Z6p+GTgIQQDnlcsiehpNuhgTBm0zVHsFa7fJ3ab2grcmAtErleLLcs3yn47vRfqmczG8eI+mkeR0kVYEUUKapigLvfuZZKCGGSZH0CHEkRsk2HiR1JYroP7J" +
            "qOxhA6nQYNaJRr5+brM7AACZ5ci7TVE8Tjqtv0wvNMky6Vrhu43sHiOI6+NYpnkZ9cWglBti1Rm9VmQvmb18GrrWCOWinbsB6tlLqw6BBZhS72rVYf5nJiwa3RfGRYeDifQ93mG1l1iG" +
            "sdqX4q1S3nheVjKpIcMxlBFCXMO6uVNqWSvn4mGKVvpQ4JQWeSTM28PsUInMtURw8LvzbAdfKm32I4PUrvI8YVfm9wkyFjCAtVg/ekhsdoWGLZ4nFnLYlOXOId34jv33PxYlMKHDyJ/h" +
            "RyZpajd+na1WWNngv4VL2OWRIme7le7/V+pgD/j34uC4DndXUnXbx2qPQkvS3rpHlk6lYemgFHwow1yIyFPK4u6nLdFzr9SyweMNCzNSHBbVyJHCxR2Y7y2akIO9AnaE1HtPIwGnobuI" +
            "x0D9GmQQLYBjQoMt2u7TAqMLZ9FDige5gJkLZDkId/SvhJ+XAT0ATpd9vZWyPU99cdpPVNVZL1dpxD28mxPrPmWiMfwS9wpFtRwVKLT/k76oJmxrbK+oBkT7rcAV/IKFeabVdFthqCD3" +
            "t0VzSdWNXz5TYSkENSm2AcCO3vDxB56iHpvccVQ1KgMWZaB1y85rGLaW6paVMs68WOvL+1XPKz/VBAxrFJMN6XaRmHiJ6EKi2cvyj+YX1sml7KdqG1LzS9S9buAsX1reNMip/85La1YI" +
            "UItuOs1YpWROJ8f4kH7cH6GkfGWcqZw9HjB/IenJTlCY4B2vt/PWAoTyIFbZZrtukxkkl7OTfVtvIqBAH/Beqo0axSd1was4iyFjmMHTKQeX08TFQp5LBggAWTJOPIqOtD6ohpH5gs3I" +
            "LzX59QiSvErvm3CzyOJT+Iz6d3hT6kJ0UMfVJQSgNcJWqOOM/a+8i7YAHfwqMgABzBWAvpIBz6+WGz4wDYsCAAAAAAFZWg=="),
        new("Xz, two streams and padding", Source.Text,
            "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4BOHAfBdADYaSh8IoCZWTg1suKXtY5yOfNtO9p5LeBhWXPd7jxaD0Va3Qsxz4f5Cdf27atOfyudOcqyCXzZ3tjFQOGSAeHLWjtm8Hu2SBvvX" +
            "NWVouL0epV+U1/1jVP01sygs/iHhgqDvHy6Zs4hSI7edfsukpY1xeu1+myUC/JLNAN404KFiFb8e5t1cCDnQe6if27n5pjIWEN9dMAFOV17fX3LCyA4ysdD6ON/Md9E77LoToLZoJ1h2" +
            "/Z37RxDNz6Ip/HeG5lgS+6M4Kr6ZJmIXtlHhmfpFtR+0iTbyA6VqexJeqd1XYKFFTkp93W/mN985KJ64BeiHhfKBJXY1fWIbv8FFUmJExPxAWepAmvYzU5cdzacwnTXcgAKT0MOyhexA" +
            "+vTQJzLgCDn0bAebOEHnKOGGuR5PX22EBnUOIaay+bGDKA0ugUpv3834ZtBDHMs/nFWK88tBwroOO9rCJBymj2L61ztGJEYk90Cf+C5o8aDIzDf6MueNtAZ7WJKuFmgE8GabDH+clegc" +
            "M7z0uqtH8Y9Q+AYZoe4bu/slGg62wAn0/Nm4nIdvg0eDeTRoyyT5bMCvJEbGNNCopMEl6dKn31lrxZUFasPxOQCJo9FtJYvL4K/C1qgxDGrVwpnQPn/B6bhtDZM3tjWVPxciGwrSM1QX" +
            "UwAAabWcPYCRHyIAAYwEiCcAAA9oSEqxxGf7AgAAAAAEWVoAAAAAAAAAAP03elhaAAAE5ta0RgIAIQEWAAAAdC/lo+AShAIIXQAQGIpHEcP81X0pQz3Z+NWh5dFreO9j3PsoGJs3Xdbv" +
            "unwKb2nsXMC1FUsCLsFcryAs6x73D3JPVEbmxzz+YmEgUEPAzLJK5ESTgDpohmBxu7IBP7ydwByRMK5suLG9kowJb/HOIGLxdQeieJE9OXmTVFsYHX0ufmA/Ttp64VzypgAAz1MlGjh/" +
            "Atr7foLUQfXPgmWbPC4vrhPQ0AgyxMbwflXLq67+DykBQkv7KySdvIIUaetTBRBjPJFUPx3oA9xctsfIt0L1OpT4YJlcMY0IY5Hl8d/sfbIY8Dz+eFaG0sasTgqc2/BhrveVyXsuZPmB" +
            "SleMqgGqV4+0PF4LZzleudEuFfrraJNJfq5KYR92DI1ZZLA9tOpFuxzDIM865hS3rQaf8/gv3k2s0LxBMhwGjGZ8DVHxvmxwlFcA1jI4hYVEMHm+9kdRFlKdMTYh6cSDquqsgGLiFgzK" +
            "A+ST9X+K0V2fcu2gbvmvkLWlJmkdwimjIH3ZgqpV5pIs7erSiD9SZL9GscEM9PIxkNODMXw4zDU2KdmP7aK/6BvjTag5Sm2WJaMKSrpycEsnYZCq1prtVS8URpDyqlhhvOJLfVUivRrC" +
            "fgxXAEpU8dhDEWTXKwE4K4kUqdljZxApOvb/pjxF1B/KsWtIngry5aaDTEAj4AdbAx8V/BTyHnjlS7SYvyW92KSwwsbGAKL923XdFL6CAAGkBIUlAADn41lQscRn+wIAAAAABFla"),
        new("Xz, lc 0 lp 2 pb 0", Source.Text,
            "/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4CYMA1ISADYbHRTfEeZf5EMsBp57/QKmjVwkrlBxvtF+Jvr3C7TLjYXwhGxRDOpRMoYCK3Sx7Gn8zZ4+R2Hyh9yz0lW9APdiJAzJdj0lav7J" +
            "W25mX2zGIkwMVttkYOGF7AHTUygUp2BeUNPBb/Nc37Gk0laN8Z2BAYJ7kNPyLcLvxR1c88gKdCJbWX7Sn6Yw94Zh9wTTkLrWymcm1wm3AdKxis8rtVwV1ESUr9ppKke9w3qp3wHe2gu6" +
            "BhCPeHUrs1sMJLHNtWBxXtM5Z0xamQV7PEstSXGNnIUus9vTclsFoymyaqV/OlH07lcm4peOjubQYAXNpwK6nMZ4QPHQE8HNsp8wtC8f3Gu8OcR/h4g/sYngfD42DEpyi/C18a1svok/" +
            "q6baLY7IQQQFN2zkUX2NohzaNGvuFpBxQuxjMhYwhNY1bFO4xR9idNlMeLDsQ6UNdewfQ0Y/LSBe7sqB5YW6roxhpd5j3MtrlertgCafTOF6SkXrhAKKZ+f9awfl2mtzkjlCFyFyTEpD" +
            "tBE70M9mmjV4I7MpBGzetoPLgCoDVvBKhUvTsUA8aIDhglo1puTHhknYlz/dIZWl6PCS9a9D2bDfpqSetoMaL+rTrTwfZjerU2q/ZfYXG3ZGburYIqMrDJamQnfy5V672v4vS0myt5+D" +
            "D50RtymL7Fz/SBtoCeWJl4NPGBAqrqTUVZTbowcpYUj0tC7q+RJLwVdEH5sne+9ekRBPEJzsUGw9bwlgU3RISWG99EuVbctKnlTJa62Dhdpy31l889KjzkQNZ/RP5X4ayCd+haUvwAOW" +
            "fcsfQv+kAuRBugTY8kb/pUL0e3FBNL0hv8pEgUK36dSiQBdz8ISbB6MVdC75Slxc/Hq5zav3HI/qf2lTX+TLz0sEv85EQJnCcqvAxdx5VZ8BJRdvd0KC2zKt4rcTWysasT0ql1zO9SeG" +
            "QDW7iBg6VOKQJ97/HIjkCcoEf6C3MIBN9ELb6YClcnb0jPXJHc66ei9zAl1FOISd8dFprluIIGm3+MIkS5lteJL8/jgmijz6t1PPyZp0oB25m5AGwxLYzqK9r0F7bAlifIZEq/bvCE4m" +
            "qbKVHQOf2VKa3BBFzkTNny8LOoGmebm+yw2D6alsQ2j4kK+sOJ1UWwAAAABMFBfP7jlQKgAB7gaNTAAAzUHoBrHEZ/sCAAAAAARZWg=="),
        new("LZMA alone, size unknown", Source.Text,
            "XQAAgAD//////////wA2GkofCKAmVk4NbLil7WOcjnzbTvaeS3gYVlz3e48Wg9FWt0LMc+H+QnX9u2rTn8rnTnKsgl82d7YxUDhkgHhy1o7ZvB7tkgb71zVlaLi9HqVflNf9Y1T9NbMo" +
            "LP4h4YKg7x8umbOIUiO3nX7LpKWNcXrtfpslAvySzQDeNOChYhW/HubdXAg50Huon9u5+aYyFhDfXTABTlde319ywsgOMrHQ+jjfzHfRO+y6E6C2aCdYdv2d+0cQzc+iKfx3huZYEvuj" +
            "OCq+mSZiF7ZR4Zn6RbUftIk28gOlansSXqndV2ChRU5Kfd1v5jffOSieuAXoh4XygSV2NX1iG7/BRVJiRMT8QFnqQJr2M1OXHc2nMJ013IACk9DDsoXsQPr00Ccy4Ag59GwHmzhB5yjh" +
            "hrkeT19thAZ1DiGmsvmxgygNLoFKb9/N+GbQQxzLP5xVivPLQcK6DjvawiQcpo9i+tc7RiRGJPdAn/guaPGgyMw3+jLnjbQGe1iSrhZoBPBmmwx/nJXoHDO89LqrR/GPUPgGGaHuG7v7" +
            "JRoOtsAJ9PzZuJyHb4NHg3k0aMsk+WzAryRGxjTQqKTBJenSp99Za8WVBWrD8TkAiaPRbSWLy+CvwtaoMQxq1cKZ0D5/wem4bQ2TN7Y1lT8XIhsK0jaXwLaORdOkeCsIanxwfk+QZto3" +
            "bXZTm8onyaNNV+/ijfcneBN9RQqIQ1kkSYCrHqz+cTCTQwF+22K4jkMSWFm/nkPKvjBhTWLUn/lhYnTu+qpd3ukXYWY73occDFraaf+buTgr3FFKB/FG9XzqOK5ci6NbX8gYY6YosA66" +
            "jzg4MplSaYEjgbmfSte7BfiphgC9HO4P4JkKNICCqNiZ4AuSQLFpCPP4gPFF82C8me4T942innvOWmAv+c/IPYt2DYcBfr4VJtrnbvInyGy/Tt1Qwwso0pUoykMK1kS90ZuoM2ZoxCMw" +
            "689qfB1p5kJBz1JwJXH/+M71qA05wjzDeaothWCXuSsSoPLZziaKGboBvCnD9HHvfh9pnK22yZJUEVuyWg9PEtZTWGej8sXq4RRuJf//u87AAA=="),
        new("LZ4 legacy", Source.Text,
            "AiFMGMYHAADxD2xpbmUgMDogdGhlIHF1aWNrIGJyb3duIGZveCAwCh4AHzEeAAMSMR4AHzIeAAMSNB4AHzMeAAMSOR4AHzRaAAQSNh8AHzUfAAMiMjUfAB82HwADEzM+AB83mQAEA3wA" +
            "HzgfAAMTNrkAHzkfAAMTOPYAHzEzAQQTMx8ADzQBBBMyXgAfMTYBBRM3IAAPOAEEIzcyIAAPOgEEBB8ADzoBBBQzvgAPOwEEFDZAAA88AQQTOXoBHzE9AQQUM/8ADz4BBBM3UgIfMj4B" +
            "BBMxgAAfMj8BBBM1YAAfMj8BBBM5+wEfMj8BBBM0fwEfMj8BBBQ51AIPQAEEFDSAAA9AAQQUOWAAD0ABBBQ1AAEPQAEEEzgfAA8/AQQTNn8BHzM/AQQTMj4CHzM/AQQTOGAAHzM/AQQU" +
            "NbUDDz8BBBMynwEfMz8BBBM4WwMfMz8BBBM2XwEfM7oDBQTgAA8/AQQUMUAADz8BBQP/AR8zQAEFAyAAHzRAAQQTNCABHzRAAQQTMwABHzRAAQQUMUAAD0ABBAR/AA9+AgUDXgIfND8B" +
            "BBM4HwEfND8BBBQ3VgUPPwEEFDdAAA8/AQQUN4AAHzkgAAsvNTBgAAsvNTGgAAsvNTLgAAsvNTMgAQsvNTRfAQovNTWeAQsvNTbeAQsvNTceAgsvNTheAgsvNTmeAgsvNjDeAgsvNjEe" +
            "AwsvNjJeAwsvNjOeAwsvNjTeAwsvNjUeBAsvNjZeBAsvNjeeBAsvNjjeBAsvNjkdBQovNzBcBQsvNzGcBQsvNzLcBQsvNzMcBgsvNzRcBgsvNzWcBgsvNzbcBgsvNzccBwsvNzhcBwsv" +
            "NzmcBwsvODDcBwsvODEcCAsvODJcCAsvODObCAovODTaCAsvODUaCQsvODZaCQsvODeZCQovODjYCQsvODkXCgwfMFYKCy85MZUKCy85MtQKCy85MxMLCy85NFELCi85NY4LCi85NssL" +
            "Ci85NwgMCi85OD4ACx85fAAKPzEwMLsACj8xMDH7AAsvMTA8AQw/MTAzfQELPzEwNL4BCz8xMDX/AQs/MTA2GAwND4ACCz8xMDgaDAwvMDkbDAwvMTAcDAwvMTEdDAsfMcIDDD8xMTMf" +
            "DAwvMTQgDAwvMTUhDAwvMTbGBAsvMTEHBQw/MTE4SAULPzExOYkFCz8xMjDKBQs/MTIxCwYLLzEyTAYMPzEyM40GCz8xMjTOBgs/MTI1DgcKPzEyNk4HCy8xMo8HDD8xMjjQBws/MTI5" +
            "EQgLPzEzMFIICz8xMzGTCAsvMTPUCAw/MTMzFQkLPzEzNFYJCz8xMzWXCQs/MTM22AkLLzEzGQoMPzEzOFoKCz8xMzmbCgs/MTQw2woKPzE0MRsLCy8xNFwLDD8xNDOdCws/MTQ03gsL" +
            "PzE0NR8MCz8xNDYhAA0fN2MADR84pQANHznnAAwvNTApAQwvNTFqAQsvNTKrAQwvNTPtAQwvNTQvAgwvNTVxAgwvNTazAgwvNTf1AgwvNTg3AwwvNTl5AwwvNjC7AwwvNjH9AwwvNjI/" +
            "BAwvNjOBBAwvNjTDBAwvNjUFBQwvNjZGBQsvNjeHBQwvNjjJBQwvNjkLBgwvNzBNBgwvNzGPBgwvNzLRBgwvNzMTBwwvNzRVBwwvNzWXBwwvNzbZBwwfNzsUDS83OHwUDR85nwgMLzgw" +
            "4AgLLzgxIQkMHzh+FQ0vODOlCQwvODTmCQsvODUnCgwvODZpCgwvODerCgwvODjtCgwvODkvCwwvOTBxCwwvOTGyCwsvOTLyCwsvOTMxDAo/MTk0eBgLLzk1QAAMHzaAAAwfN8AADB84" +
            "AQEND0MBDD8yMDCFAQs/MjAxxwELPzIwMgkCCz8yMDNLAgsvMjCMAgs/MjA1zQILPzIwNg8DCz8yMDdRAws/MjA4kgMKLzIw0wMMPzIxMBUECz8yMTFXBAs/MjEymQQLPzIxM5QYDC8x" +
            "NJUYDR81lhgMLzE2lxgMLzE3mBgMLzE4mRgMHzFnBgw/MjIwmxgMLzIxnBgMLzIynRgLLzIzbQcLLzIyrwcMPzIyNfEHCz8yMjYzCAs/MjI3dQgLPzIyOLcICy8yMvkIDD8yMzA7CQs/" +
            "MjMxfQkLPzIzMr8JCz8yMzMBCgsvMjNDCgw/MjM1hQoLPzIzNscKCz8yMzcICwo/MjM4SQsLLzIziwsMPzI0MM0LCz8yNDEPDAs/MjQyUQwLPzI0MyEADR80YwANHzWlAA0fNucADR83" +
            "KQEMLzQ4agELLzQ5qwEMLzUw7QEMLzUxLwIMLzUycQIMLzUzswIMLzU09QIMLzU1NwMMLzU2eQMMLzU3uwMMLzU4/QMMLzU5PwQMLzYwgQQMLzYxwwQMLzYyBQUMLzYzRgULLzY0hwUM" +
            "LzY1yQUMLzY2pR4NHzdNBgwvNjiPBgwvNjnRBgwvNzATBwwvNzFVBwwvNzKXBwwvNzPZBwwvNzQbCAwvNzVdCAwvNzafCAwvNzfgCAsvNzghCQwvNzljCQwvODClCQwvODHmCQsvODIn" +
            "CgwvODNpCgwvODSrCgwvODXtCgwvODYvCwwvODdxCws/Mjg4sgsKLzI4ZBgLPzI5MKwkCy85MXIMCj8yOTJAAAwfM4AADA+fGQs/Mjk1AQEMHzlDAQ0vOTeFAQwvOTjHAQwP1QwDUHgg" +
            "NjQK"),
        new("LZ4 legacy, fast", Source.Code,
            "AiFMGBQHAADwLkH/JwAAANkAAP8A/wAAfcTi/+n//+j/KCx1Quno6ADp6P8AAOitmegAAAD////eAOhh6egA4Oj////p6f8BANAg6AAA6P826DAF/wDpJADwDavopgD/6egz6N3pAAAA" +
            "6ADo6egA6ADg/+gA5hwNAKEg/wDo6OkA6BAAQQBA6QD/6EMAUAD/AF8AEwBA6OnjW4wAUOneAFEAAQAAZgDxEbjoAE3o6SAA6egw0gDoLcg8AP/pxyVv6mzyzOkVAFihkQDwAwAA/+gA" +
            "6f/oAEPoQv//xwBmy1oA8A7xAP/pdOiV6Ogk60SEGv//AOjFAOkE6DDOAAD16XwAEY53AJDpAP/p6Yno/2SNAIDpl84AAPsw6KIAwPF6AOlQBf8A6Jn//2EAAAsB8B3pAACMAIMAAOhS" +
            "ALYngulh6Ojh/+nwAAAAzf/AAP7p6AD///HoAP+BAOjoQR8B8AfV/zYAm+gAANIQ6SvoBP8A6NEAUQCeSgDwGnIfw+joLOj/6AAA6er/aOjoW/8A+jsAAACBAAD/FOjK/6sAt//p6P/p" +
            "bwEg6elTAQBlATCKugC2ACAA6WEB8An/6P//T7f/ALD/wf8ADFQA6LkAAOnp0OisAEDo6JEAcAFR6P//APpmAaAA6QDzAP/omOi74AFA6QDp6OQB8AIA6BDoZYzo6ZNt/zD/6P9r6JcB" +
            "sunDb97o/8sA6P/ptQEwZADH3QAQn6AB8wIA6R//6QBwQP/pGJb/7v8AdoEBcAAA/+kA6AYyAIEA/wDhe+gA6bQA8gHHADDpOlj///9mAP/p/5AAIAAQANQAcIkA6I7o/0cqAQCRAaAA" +
            "Tv8egf9v/+gqSgAwjf8AkgJB6f+L/w4C8BAAAIIAaMLP6OgAzv9T6aT/9+j/6ejb4+gA/05o6AA1JAAg6HAHAhCDwQIiAFZnAPAC6GPoR+gAX+jp6Jf/zAAd5ukiAID2AOgAoQD/5mIA" +
            "EKdmAUAA0OjbdAABWgEQ6TkBMADpsHMAAEUAwDfoRFH/6AAc6P8A7L4AAFMB8AYAIa1I/wDF6P9zEOg86PHo/+XptqHaAPACAADoBwAAXOnuVwDo///KADALAzD16OhpAlDo9wDW/28C" +
            "gOgAf/8A6Vla/gEAvQLxAejobOn/jK//hlvo6ejMAGUUABD0xQFw6OgzCQAAV2EDACQBkABW///a6OkASqEDEeg+AgDtAXD/AAC7//9arQBgnCnpuJVd2gEwmsEVmgEA1wOg6C3/6KnV" +
            "6eFL6SYDUOgASujFqwOB6GR6//YAmAcxAhH/UAIw6em7xABw6egtAOn/F08CIP/obAIALgLwBOjp6BwAFOj/6Byi6ADo/wDFfv+aAZDo//HfAACt6OhEAAASACBGBEEBgf8A6OkR6egz" +
            "qwIi4OVpBDHpAEDpAaD/AGroKAD/6OlIdgEQ/2EDEF1AAiBL6ZoCUEfoStT/CgAA4QLwAv/pAP+uAOn/6awA6N7/6Q2KWwAAagGg9ekz////ywTogmcCAUkBIOk0GwARXxAAcP/o6P95" +
            "W/8pAVD/ggDoAEgDAK0AIO3//QPwBejoIQAA6Ig2cv//pQDoAIkAwAAkmwGQ/xEGuwCUAP9sWQFByf/ojAMC0Olv/7TohOrp6KUApUZSADAAAC0SAQBLAGD/6ACtAOl4APACALQA6ABA" +
            "6P+vI1jwYegAAAHrABD/0QBwAOj/+gD/XgkAIV7/ggGArP9pAP/D/zKMADAAAA6nAAAJAIDoAP/QAOn/wWUCcEjW6OcAc1IVADG4siZHAaEAAACUWun/6eisDQJQFiL//4GgAfAE/+j/" +
            "yuifAP9S/+gh6ADm/wDptRAB8ALRG+n/6QDE6P/pAOPpPujonicBAJUDASEB8Al1/zE46f8fAAD/m//sAP/r6Pr/6f9xALDeAOBG9wDoLABX/+noAJT/6LgBEHPiAADvAQARASDotf4A" +
            "cOjo6f8AAF8FAACxAgCpACDp6ggAIADouwFQAADokJPVAABHBCAAzsMCEOlkBSA96TcBsO3oc//ocOgAABEAXwAAswMw/1wApgUAxgJQAABw6ZVsAyAATlcA4f8AJOgAmP//QgcAAOls" +
            "QgEArQEggxouAHAYKfcA6OmzUwRAAP/pJTYGAB8CcQD/6Kmc6KFFAwCKBAH4AKDo6IToQEsAAOjXZAAQzR8Fgeg//9wA/0ikMwBQ6egApoaGAHAD6S4A6OlbFQPwEQDp8P/p/2bo6eEA" +
            "6OgAgYn/6ab///3o///bpejp/+gOEgUAEwSw6OgAd1UAtQAA6NPPBgACAAAnAwDuAXD/ADvo6f9ASgMzmunqSAGQ6enpNgAO1ujpiwDwAm/ojgAAPen/WgAA6HMA/xd9cgYAsQKB/+iC" +
            "/+kAYYJIAgByAfAI5Kqr6OgA3AAj6ADpQgBc/+kAsx//AOk="),
        new("LZ4 legacy, long runs", Source.Runs,
            "AiFMGF8BAAAfYQEA////1x9iAQD////XH2MBAP///9cfZAEA////1x9lAQD////XH2YBAP///9cfZwEA////1x9oAQD////XH2kBAP///9cfagEA////1x9rAQD////XH2wBAP///9cf" +
            "bQEA////1x9uAQD////XH28BAP///9cfcAEA////1x9xAQD////XH3IBAP///9cfcwEA////1x90AQD////XH3UBAP///9cfdgEA////1x93AQD////XH3gBAP///9cfeQEA////1x96" +
            "AQD////XD5Bl////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////////" +
            "/////////////////////////////////////////////////z1QaGhoaGg="),
        new("Zstd 19", Source.Text,
            "KLUv/WQNJb0eAKpNGAkZkCmVDkDTr2RoBlnK3Z6blDLJlJLEvmsHJZYAhQCGAPOSsT2rTs1xbUJiqC6nD+dEv0VO+kX9zkv3LX4q+UnII+yFJnJLqyJEqZnIhJQ7ZJlxzS0kbtmvaTQ7" +
            "k8N/9UTdptJ3lxa5ZGthidZhVF4kYsjQddbClWmXL7IycsGYWkuTmvHfKgsepxtz5tbYqHwqz3uhfK6aG0GEBQ4IEA4UOHAAAIGAAAwSMCAUDIBAMBCh4MCggCPqZ+FH7iuKby+ZlGTb" +
            "yE6X/SIjW8ZWRqNM1gqZUHk15MmMd088e/WCN+/Bq4660L2Tzl270K2LrjjiAndOOHPlAjcuuNpoC9s32bx147bFVjGKxR6TmGONhdhiFTFXjSqm9rJUub6WkPWuylF+0YioQ+ZpLMQx" +
            "sbSS+JFUUFsTQ8PNVB7bSmmUe5FFRJJDWk4SCTk0WZJIhox0BVnXuKLRnvH1sSIj5zGmY8tRamN4GEOQIcgJwXEImiEYHDXoM7hgaAiGGtVqan5toRah1lqtVvuiJizaS7Ty0PzTRkIL" +
            "ppmljUnjjMagrTXjaSY1s/azGJlxnlU6e3Fmb7aKWV2fi76Q+eifXL6hHwR+FakYGoqhKMVy0S2OxVhxUXQRi4jfEIUnvkIsm+iXOCKxI5pBrCENOcP1Q16GUh62HcZwyG1YieGrTpvO" +
            "1Zz1T5ecIT6pp5zncCdRnJYSkiQsGuF+oVSEm4WnCn8KyROyIaSVeTJbYwrdFFPGZqdmh+bMmmCGksqHkhZKNpTkUP48sQyCFqgiWEx39z8DYkbhiNDUDRJIkAv+xQUSIw8gQVkZN7Jj" +
            "gvEdD2dOnLBmYASsL59CwaxZXJGEMj/ZC+5inOUhAjqV9gNjkLBeFqIACCoqHayCFtVYdhgJXlOO28i0gKo6FafAJrrWn3IjF3cUuKsGI0K/aYAAkFSpimBvPXEsXr85jyzABFK+woyg" +
            "iCD/JX1kdpK9pqFj/6+qKrSjGfna+TlPjzWUBOhcDzoQxRyYXoayqfhehAggpCgE2qR8EVGQq0V4ZvjIC3SBvubkMdpnky2e8vIuUXEoyHY80gy9rIQCjHhdg5QlQqyCfwrQ/ulFSY5U" +
            "1C884rejffuQPnnyWQ4+b+5xxh7/Ui8Uelgy7xF5/YjXDXi1eIogPE5RrhPkahgng7hwCHcCeAmGugGH/Ngj/4Fpe2jF6YPElcwfWEVw4SEhVb8UjTgdeGC0ELJbhMWsFjzAVkcUD4Lw" +
            "36NkE2ciEPOnxESOdvPwoJLR21ACbgVXj0w0uBWpUVQDGFe+FGmtFszMAk0GAKEVV+iT3Q=="),
        new("Zstd from a pipe", Source.Text,
            "KLUv/QRIXR4AZvdtGYBL0gFAJBKJAr/JGCkaySSTlCk9hBtHKgR0AGEAYwDuvA37NfbnQsN6vhlp9azNjGn1REWeT0sqH4WdyBC76r8bderO07qUbGXYfyWOuv4xJO5MROpiZ+QGB1X7" +
            "KbI7QiqN3V7il5Dr4RQIhMQBgCdV4VYgEBIHAKN4SCAoEBwSFgQKg4FEg0KBKGAoAkaBQEgcBGXfC9V2u3XaufWSleFPIsccx1CKFY4idK2zbdDaTY3euG1srGNjY2MdG9vYmNSLyiO1" +
            "1pDlrmqU6/tfutCXIUm/8vQ+3hYNOnFENbmGRISqJCSp0ZhB5bmJ5N8ek+KqZwYuDjkOYkuONUgaJBkUDnKnmIMdrBeJp6RarJU3alh/CV38fS4fSfv4WnSaImpNg4Y4oU6JJDLaoJL6" +
            "GLJnTBT/NU3ONTzX9LPR+B575iLDdj7OZuZSJENSkpJMiipzSmsy5KtVLyoXp0TKWo2q3/Sh73mJXPrz3YXjRTpHmlMsB5Fjhy4KVxVbajxGzDGJpwxJ1jlzyo0+7cuGHfOVsMU5iyxL" +
            "nBQNmVfr9Jmdi9j12W2djs5VJ8mYRI7JMSxWuKIIA4JPqPJg8e3sd6KOGRrkPBKwonEIIfhD365zBy0tetXXEYQIM5ZhRQ2nckXwbx/3iDBMN5Z5vnwI0rlnZoHM3ZyIsprkH/xHUEuQ" +
            "WmICCPPaL4+IfztT0u8ylxDzhJQEGn/aPrap4mujMQ/14NmJzaNI0MCYFC7WkOWDPSliuYWWDaTyy4PpQOKJc82DevmPUMEK7gtyT2yEJBk2ZQFUZUvXwplr0iwG7uDW4cEyEqOskQYf" +
            "zcgzAtg8nrLxot0om0YEh0LMsh0cbjjyKoIP+/jaZyAlP0/ghfJqCgUTerLja3fMc5wxB9JBrA3+wND8yD4rmUJqGx8HHhwc3UncoqxeJFSHCKGpetr+2lvsM2z5tpt4lkBl0tUkE2ES" +
            "kCB+vtEoDwPA8f4IYAk9fs/6ONhPXGB9KpN9RbxcrISWJmhxMB5beW0maKnQ+nJlElyXxrI4PKxjnWnUi6LBj+chuF4J8oYVIv0WR1wbsl0EmQUUDAnqBa+D7Ano4fyoJx/I+TrwoalD" +
            "0OC7+MMAONrg1zrBK9doJfcehf0ZpD0rKBQDlZrvWTAOOMtYCLH+CuNPyoOiWty8GhGCoOgS8g6FVJ0Do2JYeAkorei4BB4CWO5tu+DeBfvIrUgS7INSW49hLAivEjguQcWUP3yZlNxe" +
            "Gw4UcpAeTgB2qeEvx96Qijd3YvMU5QOhXVKkLlCZNRhA3lZX6JPd"),
        new("Zstd 1 on hard data", Source.Code,
            "KLUv/WTQBqUkADpkSA8nYLZSB/1m1DtJUIBRneXH8WP2PlDcEqedevUrvfoV2qtz3X5PyVcK5gDjAO8Ad+UV0oXqiQr6bH8LYzeNlFK3e5YhSEwUtPzc849L8ZYRxJmZeuY5RVOVL4Oc" +
            "rfOtnZfsSg31/7rSIptcG4dHA+GXmc3fz9nbO7wCfNxg3toez469qDrH55MyzV0/N5O9YS/qjGW3Jt4+MFNjVwZyDrdcf3vyU5Q3tTNIY/Zmv4+RFxwoYFbc1DRsuu6Ckwhu6ox3heOO" +
            "Gan/41j3Pc3Wsb1ncueT/TbjR94KPB4h1+ysOY/zP1g0weuBWKjtdwWcMUX5rNC7tpw1rwmP1fbnnUP88iZvBpcQHcr2WiuTmO99Vj+Hygh3ycy7XlUX49eSw+af7anlRXxdkifA9nl0" +
            "uMo3uqDZWqnp4jhk4VvyzusywuyPGlTRqegm//jVFUldXgW1N1fvMyfG3pdLwqBah0cm8wadkMiTV4a9sfAfxZTCo9OWK15ZrH8uSEVNjrok5bbvml7Z3jb8+oFVK9uE8ij/RumGp/nu" +
            "/k2vR2lrhMWdvelmGFq9Afz6Xa6v0nFwRcPylcL9nU/nbfrJlX8qY6lhOrKzStmzXolzZAOFZvxL3neTlGiHPdi3sVse+XDIOUnq7iVxIQaupSq6kHq0LOd375+k5u7aC1SFo+SWepMq" +
            "gksUU59SQ13CvyXdWPl3BfBs8ssIhkQl2rzRfWiWPRE2AA2I52aGjap2bNhO8610OVMakKDXm+FKp5kDarWkQMO3QJK99iq/vZu3tbyb9qVk7z1x/TaWfWpr4oaVVHPgGosbut6IekWV" +
            "gze++3RcX0lvy684jr0DqVy0D9csE7wEx0t+mY1v7yQPvay3doymy+knAksFR+CRvOfH3n2D3iJI6a4E7EysYJ6Q1zUxx50OWpdqECuCvC6whOdLJXMinQc9nSNpKZHlneNjq5bI7BX5" +
            "AiZIcgqDMige0840EZueFZIskiMBdykw+prkGTcx/GqyEKFbPbKtydc2ll1Mg77GR9J78W6o9v2oCsEp7s7t8PAjWo8tTvEdPcTL5C0C9gjIVUtkbaBrGrbJaR2j9PrrLm/a8REX4PYz" +
            "geb9wdFfNQbLY6jvq/g60GiGvPtQzyD2uYYro+PFPDjg/EGZ67VyT2BGa2dmmMecw/LtSTp5gicWdo292Ou94PPaT9RXxnnD6XbH5Ht0RHbtu6yceS1yCF7MxpeKztKrMe7qvJqnT6G3" +
            "gkS5/B4Sxtn6ykxfD0Kpf0d3c00LLJDOh57Kfixbe4GBIV4PiZx/w6JI84GsrStLqFEcpIghxCAkMIgQJpohonYggkKQkvgQEPgGS3ag9nuJ1fTblbDKfUgm81sr2UNI/0FN7bWLBhgK" +
            "6bCPnN5loew1njV1R83Ku9mrbwTxfDkZCfghIFXicQxjWRhpK7wtDCclhpL4kbZigFOlEA4BOeKQRuGPsTcfG0lXLi8p1lVTtjTCmFHNGV6DgrAdFrwX7S49MRyedJcgUE8AkEAgi2Fx" +
            "kxjDGGHVcOuWlk4nii7qnULJ8T50iWLWAKQBcIrh1Q=="),
        new("Zstd 22 with a 128 MiB window", Source.Code,
            "KLUv/QSIdSIAynv0EDNgrtk4HfAGgiFKA0ECA2gMXoATKOgFAEJEHbcZsOiO/WUVsb8agdZ8slh+y/vh8hQBTAENAQQB+wBkaEtxurKPr0nqhaSUFtm0D3lDAQ7IdfgeMryWcj7Vjyx+" +
            "1W2/be09jGNDdMDKRiWhj5eRiFjPVGsDSRAuSqhKQxpkRG5FGixLI6ozBDMkS1OQZLPa82qr+MeJqKNsPNKZtbFAD2uQVuEbnSq1X4ZcgBkmFHv+6ScVtTPGpApiudl2P+VC6Z2idn5k" +
            "ZdKRz4AVK3wygRSGltjuUemQIazzYqSCemrdLzg7iMAQIQWNnjQU1NmWQIgX2ciPZpcJBsXHvzR4Z7plNpl+asaVSrtnFjnJu2hySx51JkpNSt0l+qJtG4rjdy7Aj8AsVZe3X5monZF3" +
            "flVlyJGuKU0MExtcsH5rMogUuuskqgWnELoRAMQMXT6EwccwQGMlmZ+jK6VaWtMFJ0o+B/V6p4MS8EWSlCnSKoSIaCpzxXS8eWgkrarJ8DCnQm17JPKRe+kUpT8a8lIHUdaDXpEqh6PH" +
            "Oll7VIKyrFl0fIwcCPQlFxTXFjUNKyiElbp1TEnnfHJXokVc2433PAtHiYqey+OAiDyGJjOqBQEhXZmDSqtCTzVSBUEREcNqk0q0xWc2ZsN2lBQJhAjb6Kpr8db7FnJnoNPM5oFjUOml" +
            "LSwupBu36crt4u0Q/w4j7Mc6r05FgceVbwC5Va27CRdlMRbYYdS4uUxdNVarYxBO8i0PWXfSCDJpdcT6ZyS+mN4IoSxSl+amNEcBuoZVQ4asnWbzESSgXnJojwwYqnJWYAcfSmtYoyeK" +
            "ZMySgDwXWamkORaVngcLskUsh1L/g3Q/bJ+lmysNgOrMKDtIQMcKo8RD9ylHrbc0veiaLMQxjqbHCuFxmin1jS5EKZoFwzkDaHn7BP6hG2WcVwIMFlIIJOkdytLflG1e8zJPLO2qGfcP" +
            "tupqG1k55P+yU5S7lIUB+46UY885dr/e3I+4oBbc3Atbfdhf7jHTXiAjXKXDOHftJBPl/KJpmVxSKyzou5LkKCZ7lvpT0HGpNbZoHeAWTdJUTm+qwNOLpmrOtpYrpStkiMpQBCFt6cgF" +
            "pd5ewDNI3tBepF9zLne4e1DMlARaohQHHJw8yc3bnHG30fpqpVBg10jJPBOUC6XRnSLBIphtqruemSGnME8kuFJLPR2R5iEOTij5mopFT3EqeanybWw3bJTEMw3xHmUuLzPJwQLwvaIN" +
            "tVWyMWYtGQWtKRFdSaQvhJEVkup0SlJwhMYbWuUUbKffMckHgwWkZKCK7VKPZnpFzJOhJnClMSg3jKnRlfLtYaU5V4tKjV6jUPSeCVLtnR23VOmLLqR6k6r1TKlWfWb0SdLMQ1LV3dc4" +
            "12CorYMbSD4s6KrDJN599MmC8hkrlydCBzPhqjrdNKQTtolbg7jXACOqeczzKAgCBRAAApFuDGrgGmAHUHCK4dU="),
        new("Zstd, long runs", Source.Runs,
            "KLUv/QRYRQUA1ANhYWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5emFiY2RlZmdoPBQALeSF/JFn5IX8kWfkhfyRZ+SF/JFn5IX8kWfkhfyR" +
            "Z+SF/JFn5IX8kWfkhfyRZ+SF/JFn5IX8kWfkhfyRZ+SF/JFn5IX8kWfkhfyRZ+SF/JFn5IX8kWfkhfyRZ+SF/JFn5IX8HY8FDOpA9g=="),
        new("Zstd, raw block", Source.Noise,
            "KLUv/WRYAcESAGxOdJITJSIuMaHNE74S7UJpZs4k/CPX2o0gl2FqBpVuworUAxNoKNRXHjxd7m5ewEqREV9dO1E+wlOkFq1u5TiUEdAomqNM9cA0fFnK8ISV82EbC1Bo1ZgE+S63KZlV" +
            "V3mZvnjAEGaHApnlf2zSNbz7j0Sd7uI74ezMjL/1v77CC9v4a5zlT4W2B89G6UpLKvvU5Y9P4VwREoIYoysY93Lfj9V6R1ve5HQ0kyZckZ3Zi+ZUWYqdDx8O1Crd4NzYXpBurRzZq+qe" +
            "09qImNvgA8FCfutyuE0sA3d7GOUvQzl/tC7ZymoLTatsrwYTf21V2blUAVLxK4u25S08Mi6F88zkiLD7EbTfAtZsZRBfcWwZiCDvckxuBC/yo+w89tncPrg0iSfn3nabq8n9BpUkH3pH" +
            "mgtJ4k1vZzSVgnyfec7Mx+m+xwPB7G+BfiduN75F8416r1DLAqVVRLxVakCboG6qYadTfpUXdvFEOb9dd7l983cx/h/DffG6zr588nkqHflTmkJwktGmktGNcSCHUA8QS+vM9crPNC2E" +
            "Ey3MSUXQTHfwDPHw8fn93Xr9mCbjoX6tNDFmTXMVNpWu8uhEx4A6hAIqGOdQZ8oiWdvdjEss01RlpYqFQo1su+ZFXKOKJFs0JxP+r8TnkFeAgQbwX6in+tSheKoSk2mtE55AnGW1ST23" +
            "P7p/J3LoNElqLIz3C5NV25xJ9b0gwyONdK5oMCqaWQsnZpFQ/mpxCwtnl+tQLx/RDxScGisS1K0/vD/De+c+eUMYHBeGrsUe3s9IE2wTDg5x89gBrZsxa8k="),
        new("Zstd, run-length block", Source.Zeros,
            "KLUv/QRYVAAAEAAAAQD7/znAAgIAEAADnwQALSjeJg=="),
        new("Zstd, two frames", Source.Text,
            "KLUv/QRYxRQAtpUxGXBJ0hyAkOafESuzHAAAHhIhoSVb4O5/91g1ACkAKQDPLCOXRGh5LVnNfQ89ZhWzrlQb65VU86NIHBAAMhoOCEaC4SBBYBgMHBYQRlGgMAJkFIkDIniXV0OjLCp8" +
            "augqqTapiPRHRqVrlFg0Q1Q2hDjdCDUHUeyqZFcVNYcsmYl4WDQswsFRMA/vznq1q5tu7pPLYq+ttZrUTq800eqsVkY4uZkYJQVmV9f//38+P8/FeZ4n////7/PLMsmyLJMsn5LnZS0z" +
            "gTSoUV2+/2cRhhliKLIHEYgY0BABEd64thtMrcpoUiW/8Gamml1Tuy0AlUmxjDwlTdW4MaF8I2J6MZL4HT+wTLEgnpi+QAT7ZP1rIp6UewxJ3gB38t5TYU7WdEm0STkOiTQpl0NRJuU0" +
            "I8KkXFZEl5TDiMiSctcQVZIXkJJ02ZOEU6BAklLTB5iskvOYrqJ+3mOzqRYtr+kC0l+T1JN+TSqLXkUSm8uaSA2FEkyOpahMlwpdlqSSsVqSImK1JHGEdUlRB3K+OM3QADEJLYrnR0GC" +
            "egpBDtNCSII7ahhSKRIhADLkCq4KGh2goP0s18EA+kjt5bRrnQtYoTdAGSRjAppQZbFL0OtakKAVpihBVpYuQY9oSD7bSWlAMLqSzI7AqxspqYASX8DHByL1PaJ+njy+TuTHoDEmMX2J" +
            "TkT+LuGfOZqv3k+wMhVOc4fSIGEwaQjlFp7VYwWsQzJ0uNYSiqcN2tD/4W6GhoSO55iGkZi5c9VSlgIAPfAYR0jArARd+Rp7Rmgrbm64TTY33CabG24TW5DKhKOjWoLgYVi0FrGU8Gow" +
            "GaOtGih6sLeLKtIY7rTkpZHTjNB/AxXZzBqdChkOlqhi8ezQyy1zZljAKmv/4lIotS/9AFiVEQDGFzMZgKmgOcDYY0OEUNqSxDhHIiJCZKJcgRWiIToAKwAjADVqilKdFt0lwrpRlZOz" +
            "MUVDU4tZZX6eDSLd1MiyAgHFAgIiQaCAAKAhIrFQGByIEA0HA4gFw0FCACIkfjauMY2nMu748bjjsyuhOTn2Ph7HzWdUsysjMtpYxeSafNGsV1vNVbUUV0PGrmfVjdTvdBPp7XQne7+3" +
            "r6d/+drPHy/Habw4cS68fM4Hobu7////t////2mapmmapunneX5mmTuPcMbwxKSMbkbaXpSBG6gxVdf73wHRxoiIDT0ROCDTECL8SDQ1OkeQBKOyDEmjOtfV5DqquepWc9ZZzVGnmrMC" +
            "tCbXcc1VF5tbFZtRD5tUKzZf5ZpV/5pYc+kzwyay1mtC2TWr3mtiNdhE1cYmlsVm1MMm1YrNV8Fm1ccm1orNqWKa7kzinUm8mPQ7k3hnEjk06Z+bxH8T5gFsktmm5WLS70ziHZv9/fTV" +
            "8SB1IN6D2ovh9QEsYENmtg55YjgW1Kq07WwbCA4jaSKeZQJRgDvzEz7xY368al3IYjzEYhvEyvQHerJ7SnAHjSEydldCYFUDecFOYJ6HQRqHIJbEB4lD9kZE5kRE1kIgVOR41jkDDdgY" +
            "1eKkxOEgtHFgiAw7mQ4w2A7K8uNFI3sZgY1AJQADR4NDM2+mSGaDBh2hiovn33Dxzj2nFOmCiRhviYc8V2mnHd95xRWnNnqF9twWWHKx7FzYuLBhlIYNVOg6RCGr"),
        new("Gzip", Source.Text,
            "H4sIAAAAAAACA4WZW85eNQxF3xnFN4Rj585wQK2oqFqBQDB8hP7YffnW9rPPyWUnjvdKvn759un1/Pz667dPrz/+/vLr769f/vz+z7fX5+//vp6fvv4ftfdR+4j6+2j/iLb30fMR7dDy" +
            "/AiP92EfH+H5Ptzu3wsGdvve78PzDvy8D+87awPJ2g2DZn5bN1Jt3TjotvzGQbkIg3ItRg/SzfgftDtXeQPxWkwf1Ft3RzmoZ7d/B/nGbd9BvnOX3kG+fuV3kO/Engb9evQP+p1oH/Qb" +
            "MX/Qb98wyDev/A3k87t7Gsi3b/sN5BuRtCCf3+VpIN++qdVAvnnlbZS5MT+Qz+J/ku8ufyP9bryDfv3q00G/duffQT+L/0G/6J52391dHeTbV54O8q04VUG+Ff+DfCv6Pzo+Ht3+MD2+" +
            "4Xp+o2l9RpfyjqFXZ0y9umPp3TG23l3j6N05H727p+nsmK6zazadnbPr7J5Dnw5z6tNlLn06za1Pt3nk4bgefbYu02fzcn22r6Zrw+q6tqyha9OauratpWvj2rq2rqNr8350bd+mvcF2" +
            "7S12k9Zkd+1s9tDOaE/trPaSxmxv7ev2KWzho13lMW1Kj2tPe5q2xKdLQ32GdONnSit/luSAs/XfR/ZtzyOHbo/pqdtTaGdP0+Lb0/Xq2TP08tszKy7Q+8+eXZDBcwo0IPRINkD4iHiR" +
            "wUb0kXhA+JF8gACSfDT1KWZWHINGDDKyi6MPYiMK6QlppkuBeVFLjEDkZBddVzMjFNkRn7qamhfl2BBGsoujDYEhj8RaIZBE3rXC0xghSZgiIyaxbGFoW2ZEJTM/KIyhEZe01OFoa2pE" +
            "JjEEIpOwxtYLb23EJmHOjehkZQtD44Ehn+QHq+piV4M8xTSJUVIogpRQehSMZ0QpudiEKbldCFRywxGp5JYdBSgbsUqmDcFKJh7RSqYu4Uom/yxuGwyBJYRCYokjjJAlD0FklogXFzZG" +
            "0JIHOVFLlgLiliwmBC5ZjlZx62WELlkSiV2yqBK8ZFkmesnCvqqrQ+KXH3ePp7AnRDDRABFMGqRd3b4iw8RSEMWECkQxaRMJY9Jo7uL62ohk0uwSyqRdJpZJw00wE0M4+u7fEGYi3vW7" +
            "A9FM/j+L/lcx/l0JUEjoxDSxCE5QE8voBDWxEZygJraSP3ovOjGNZw9Tp4MT00RCOUJNxIuUdmKamQ8Cpo8VR6gJGfBJJe7krVePEqN4lSCoyWcJgpp8lyCoyYcJK8qME9Tk0wS+rYQO" +
            "BDXxOEFME8XWvSjXjkyTXUxtGRyhJtYKoSbyzgvj4wQ1YZ2coMayBdf2zQlqZn5QWEgnqAkT6gQ1li0s6YOdmCaMtLfCijsxTZh5J6hZ2YJroHCEmvygV12MapCzmuYqhCKoCaV7AYdO" +
            "TJOLTUyT24WgJjccQU1u2VFgthPUZNoQ1GTiEdRk6hLUZPKP4sLCEWpCKISaOMLwESamiVAT8eLix4lp8iAnpvnxSL2KYkJQk+VoFldojo8xMQaCmiyqBDVZlglqsrCv4jLSCWrSXCDU" +
            "hFAENdnALgzSKi51HZkmloKgJlQgpkmbSEyTRnMXl+NOUJNmF99mYiUIaixb2NKx+9ZvDI5IE3GTxOFENPl/K/rXzzOORBMCnEpCYppcBIKaXMbDT1z/AVs97BQNJgAA"),
        new("Bzip2", Source.Text,
            "QlpoOTFBWSZTWZWFetoADJTZgAAQQAB/8BtttsBQBWg8D296a1rVVU1HgNU9oGSqQyZAART8jEUqmjJgEyDMpNU0nqhoBkANU/0qGRoNAAAUlVAAGgaGmmD0bgzrJ7gY2+khbkm/TUaC" +
            "ayGMvTLzQaBZvFgNRYWdes9k4Hr1GXTFbFh7ZQN5oN407xNmbWo68s7HmWumnH02DqjBQTF0CDcTF1GIi3rPZzJ4ajLYp6Fh7YDuIg3iB5Ztvm2Ig2DzgJBIN4gfIg1Hro9naevVdzGK" +
            "2LOsSA3mg/w4atTLUyxTVlMtUyymWUy1NWUyyGWy2WyzLatNWstlrLZbVmWstlqy2WyzVstlplmWyzLGWZbLGWyzLZZq2WZbLZbLT5KRxKR0FI4FI8vFuATQMbxkgAQAIQDvwqc5hCxz" +
            "hOMk41D1RZO87p1C7Ge0DeKgavF5ioJJeV42ZJASSRW2K2wEtgssissVlgJI8EQbNp2ohcVnbwOjSxt1rjum9uLnmzNg5ObBzm82G7ulszjLASSQWSiySK2yCywWyRWSiyxXrz57zx2F" +
            "zcXe0NHr92HIl14V66BxIAGxioXV4ubDd3ezolBLRbVBtBLUQRVcCuMU9eU2q2RQ5MjnKqoOcbBmasQZq0UzmzQ5u7oecRVbVZRVUSVEV4AR54QV03EJU99c28TV+0/ad915rioOcmwc" +
            "5sHObHObBzmncodIi2q2iQSSQSCSTIfTWxSzTSxuVPBI7OWqe73Bzmwc5uDmc2Gc2HM3Zm9LKLajE+AQT54SR5BIggkQaqwdcVlLrWty54Ly9Z43iBCBDu1wGSKyqgkoqsJBMDwwexX3" +
            "RgfUs1U9Vrhrye59UiDIHIOQcg5nbaCCqDaCWqKSgYHhJ0Nx2TvZT53sihyZBU6svRBkQZA5BzByZ102oqkoJKrarJBVYME7Vvegy3drhG6XrfGld109mUr1pUTkEGZg1O2ubJt423Nz" +
            "VWanMaYIqWwpdC6u8UqX3LtdhNwXG4klrc2ztsXWTO5upvQy9sJzMSVNSaJmnmUkyTdWkum13WnnLockyYsSSSSSVpKXOzt7Yuc0nmz3Qnm+wLEhlJWCUkCpICt6YsSQxZaSSxKrySOU" +
            "St5gz2q88ryq+1V55UehSPopHSUjkUj+KR+FI+ykcSkcykd5SOZSORSO8pHIpGKRzKRzFI/xdyRThQkJWFetoA=="),
    ];
}
